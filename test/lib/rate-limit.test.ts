import { expect, test } from "bun:test";
import { RateLimit } from "../../src/lib/rate-limit.ts";

const RATE = 1_000_000;

async function* chunks(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const [i, size] of sizes.entries()) yield new Uint8Array(size).fill(i + 1);
}

test("passes on the same bytes, in pieces of a tenth of a second at most", async () => {
  const sizes = [1, 100_000, 100_001, 250_000];
  const whole = Buffer.concat(await Array.fromAsync(chunks(sizes)));
  const pieces = await Array.fromAsync(new RateLimit(RATE).pace(chunks(sizes)));
  expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  expect(Math.max(...pieces.map((piece) => piece.length))).toBe(100_000);
  expect(new Set(pieces.map((piece) => piece.buffer)).size).toBe(pieces.length);
});

test("is no faster than the rate but for the first quarter of a second, for all streams together", async () => {
  const limit = new RateLimit(RATE);
  const start = performance.now();
  const streams = Array.from({ length: 3 }, () => Array.fromAsync(limit.pace(chunks([400_000]))));
  await Promise.all(streams);
  expect(performance.now() - start).toBeGreaterThan(1200 - 250 - 100 - 10);
});

test("a consumer that leaves ends the source", async () => {
  let ended = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield new Uint8Array(1000);
    } finally {
      ended = true;
    }
  }
  for await (const _ of new RateLimit(RATE).pace(source())) break;
  expect(ended).toBe(true);
});
