import { describe, expect, test } from "bun:test";
import { viewOf } from "../../src/tsdb/bytes.ts";
import type { BlockResult } from "../../src/tsdb/check-block.ts";
import { crc32c } from "../../src/tsdb/crc32c.ts";
import { check, content, tinyBlock, withFile } from "./support/blocks.ts";
import { putUint32, putUvarint } from "./support/encode.ts";
import { type Randoms, randoms } from "./support/random.ts";

/** Whatever the bytes are, a check ends with findings: it never throws, hangs, or asks for memory. */

const TINY = tinyBlock();

/** Parts of the tiny block's files that have a checksum of their own, which follows them. */
const CHECKED: readonly [file: string, start: number, end: number][] = [
  ["chunks/000001", 0x09, 0x20],
  ["chunks/000001", 0x25, 0x37],
  ["index", 0x009, 0x02a],
  ["index", 0x031, 0x040],
  ["index", 0x051, 0x05f],
  ["index", 0x068, 0x074],
  ["index", 0x094, 0x0a0],
  ["index", 0x0a8, 0x0b4],
  ["index", 0x0dc, 0x0f1],
  ["index", 0x0f9, 0x12b],
  ["index", 0x12f, 0x15f],
];

const checkWith = (path: string, bytes: Uint8Array): Promise<BlockResult> =>
  check(withFile(TINY, path, bytes), { level: "full" });

/** The file with other bytes in front of a checksum, and the checksum that belongs to them. */
function resealed(path: string, start: number, end: number, change: (part: Uint8Array) => void) {
  const bytes = content(TINY, path).slice();
  change(bytes.subarray(start, end));
  const view = viewOf(bytes);
  view.setInt32(end, crc32c(view, start, end));
  return bytes;
}

/** Sets some bytes to values that are likely to matter: none, all, or any bits. */
function scramble(part: Uint8Array, random: Randoms): void {
  for (let count = 1 + random.below(4); count > 0; count--) {
    const value = [0, 255, 128, 127, random.below(256)][random.below(5)] ?? 0;
    part.fill(value, random.below(part.length), random.below(part.length + 1));
    part[random.below(part.length)] = value;
  }
}

test("the parts that are scrambled below have their checksums where they are thought to be", () => {
  for (const [path, start, end] of CHECKED) {
    const same = resealed(path, start, end, () => {});
    expect(Buffer.compare(same, content(TINY, path))).toBe(0);
  }
});

test("files cut anywhere", async () => {
  for (const [path, bytes] of TINY.files) {
    for (let size = 0; size < bytes.length; size++) {
      const { errors } = await checkWith(path, bytes.slice(0, size));
      expect(errors).toBeGreaterThan(0);
    }
  }
});

test("files of random bytes", async () => {
  const random = randoms("files");
  for (const path of TINY.files.keys()) {
    for (let round = 0; round < 300; round++) {
      const { errors } = await checkWith(path, random.bytes(random.below(2000)));
      expect(errors).toBeGreaterThan(0);
    }
  }
});

test("random bytes behind a right beginning", async () => {
  const random = randoms("tails");
  for (const [path, bytes] of TINY.files) {
    for (let round = 0; round < 300; round++) {
      const kept = random.below(bytes.length);
      const tail = random.bytes(random.below(3000));
      await checkWith(path, Uint8Array.from([...bytes.slice(0, kept), ...tail]));
    }
  }
});

test("random content under right checksums", async () => {
  const random = randoms("content");
  for (let round = 0; round < 500; round++) {
    for (const [path, start, end] of CHECKED) {
      await checkWith(
        path,
        resealed(path, start, end, (part) => scramble(part, random)),
      );
    }
  }
});

describe("numbers that ask for memory", () => {
  /** The largest that fit, in front of what is there. */
  const put = (bytes: readonly number[], at: number) => (part: Uint8Array) => part.set(bytes, at);
  const HUGE = putUvarint(2 ** 52);

  test.each<[string, Uint8Array]>([
    ["count of symbols", resealed("index", 0x009, 0x02a, put(putUint32(0xffffffff), 0))],
    ["length of a symbol", resealed("index", 0x009, 0x02a, put(HUGE, 4))],
    ["labels of a series", resealed("index", 0x031, 0x040, put(HUGE, 0))],
    ["chunks of a series", resealed("index", 0x031, 0x040, put(HUGE, 5))],
    ["count of postings", resealed("index", 0x094, 0x0a0, put(putUint32(0xffffffff), 0))],
    [
      "entries of the postings table",
      resealed("index", 0x0f9, 0x12b, put(putUint32(0xffffffff), 0)),
    ],
    ["length of a label name", resealed("index", 0x0f9, 0x12b, put(HUGE, 8))],
    ["offset of a section", resealed("index", 0x12f, 0x15f, put([255, 255], 0))],
  ])("%s", async (_, bytes) => {
    const before = process.memoryUsage().rss;
    const { errors } = await checkWith("index", bytes);
    expect(errors).toBeGreaterThan(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
  });

  test("length of a chunk", async () => {
    const before = process.memoryUsage().rss;
    const start = content(TINY, "chunks/000001").slice(0, 8);
    for (const length of [2 ** 24, 2 ** 24 + 1, 2 ** 34]) {
      const bytes = Uint8Array.from([...start, ...putUvarint(length), 1, ...new Uint8Array(1000)]);
      const { errors } = await checkWith("chunks/000001", bytes);
      expect(errors).toBeGreaterThan(0);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
  });

  test("size of meta.json", async () => {
    const result = await checkWith("meta.json", new Uint8Array(20 * 1024 * 1024).fill(32));
    expect(result.findings[0]).toMatchObject({
      kind: "meta-invalid",
      message: "meta.json has 20971520 bytes",
    });
  });
});
