import { expect, test } from "bun:test";
import { allocate, free, LARGEST_CHUNK } from "../../src/archive/buffers.ts";

const SIZES = [1, 100_000, LARGEST_CHUNK, LARGEST_CHUNK + 1];

test.each(SIZES)("gives room for %d bytes", (size) => {
  for (let i = 0; i < 20; i++) {
    const bytes = allocate(size);
    expect(bytes.length).toBe(size);
    free(bytes);
  }
});

test("memory that was freed is in nobody's view, and given out once, however often it was freed", () => {
  const freed = allocate(500_000);
  const part = freed.subarray(1000, 9000);
  free(freed);
  free(part);
  free(freed);
  expect([freed.length, part.length]).toEqual([0, 0]);
  const taken = Array.from({ length: 20 }, () => allocate(500_000));
  taken.forEach((bytes, i) => {
    bytes.fill(i);
  });
  expect(taken.map((bytes) => bytes[250_000])).toEqual(taken.map((_, i) => i));
  taken.forEach(free);
});

test("a view of a part gives all of its memory back", () => {
  const whole = new Uint8Array(10_000);
  free(whole.subarray(5000));
  expect(whole.length).toBe(0);
});
