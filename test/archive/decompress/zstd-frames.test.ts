import { describe, expect, test } from "bun:test";
import { constants, zstdCompressSync } from "node:zlib";
import { ZstdFrames } from "../../../src/archive/decompress/zstd-frames.ts";
import { needs } from "../../support/tools.ts";
import { output, seeded } from "../read-support.ts";

const random = seeded(7);
const dense = Uint8Array.from({ length: 300_000 }, () => random() * 200);
const zeros = new Uint8Array(300_000);

function compress(data: Uint8Array, checksum: boolean, level = 3): Uint8Array {
  const { ZSTD_c_checksumFlag, ZSTD_c_compressionLevel } = constants;
  const params = { [ZSTD_c_checksumFlag]: Number(checksum), [ZSTD_c_compressionLevel]: level };
  return new Uint8Array(zstdCompressSync(data, { params }));
}

/** Frames of every shape: raw, run-length and compressed blocks, sizes of 1 to 8 bytes, empty. */
const frames = [
  compress(dense.subarray(0, 0), true),
  compress(dense.subarray(0, 10), false),
  compress(dense.subarray(0, 300), true),
  Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0),
  compress(zeros, true),
  compress(dense, true, 19),
  Uint8Array.of(0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3),
  compress(dense.subarray(0, 70_000), false),
];

function follow(bytes: Uint8Array, size: number): void {
  const walker = new ZstdFrames();
  for (let at = 0; at < bytes.length; at += size) walker.push(bytes.subarray(at, at + size));
  walker.end();
}

describe("ZstdFrames", () => {
  test("follows frames of every shape, in pieces of every size", () => {
    const stream = Buffer.concat(frames);
    for (let size = 1; size <= 1025; size++) follow(stream, size);
  });

  test("knows the ends of frames, and nowhere else an end", () => {
    const small = frames.filter((frame) => frame.length < 1000);
    const stream = Buffer.concat(small);
    const ends = [0];
    for (const frame of small) ends.push((ends.at(-1) ?? 0) + frame.length);
    for (let end = 0; end <= stream.length; end++) {
      const whole = () => follow(stream.subarray(0, end), 3);
      if (ends.includes(end)) whole();
      else expect(whole).toThrow(`zstd: truncated: it ends at byte ${end}, within the frame`);
    }
  });

  test.skipIf(!needs("zstd"))("follows a stream of unknown length with a large window", () => {
    const input = new Uint8Array(Buffer.concat([dense, zeros, dense]));
    follow(output(["zstd", "-q", "-19", "--long=27"], { input }), 1000);
  });

  test.each([
    ["what is no frame", [0, 1, 2, 3], "what follows at byte 0 is not a zstd frame"],
    [
      "a reserved type of block",
      [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 7, 0, 0],
      "a bad block at byte 6",
    ],
    [
      "a window over 128 MiB",
      [0x28, 0xb5, 0x2f, 0xfd, 0, 0x89],
      "the frame at byte 0 needs a window of 150994944 bytes",
    ],
    [
      "a single segment over 128 MiB",
      [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 1, 0, 0, 0, 1, 0, 0, 0],
      "the frame at byte 0 needs a window of 4294967297 bytes",
    ],
  ])("refuses %s", (_, bytes, message) => {
    for (const size of [1, 2, 100]) {
      expect(() => follow(Uint8Array.from(bytes), size)).toThrow(`zstd: ${message}`);
    }
  });

  test("takes a window of exactly 128 MiB", () => {
    follow(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 1, 0, 0), 1);
  });
});
