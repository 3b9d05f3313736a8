import { describe, expect, test } from "bun:test";
import { constants, gunzipSync, gzipSync, inflateRawSync } from "node:zlib";
import { gunzipSync as fflateGunzip } from "fflate";
import { BLOCK_OVERHEAD } from "../../../src/archive/compress/block-sizes.ts";
import { deflateLiterals, literalBits } from "../../../src/archive/compress/deflate-literals.ts";
import { gzipBlock } from "../../../src/archive/compress/gzip-block.ts";
import type { BlockContent } from "../../../src/archive/compress/messages.ts";
import { needs } from "../../support/tools.ts";

const KIB = 1024;

function random(length: number, bits = 8): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes.map((byte) => byte & ((1 << bits) - 1));
}

/** Bytes of which each is half as frequent as the one before: their codes would be too long. */
function skewed(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Math.min(40, Math.clz32(i + 1));
  return bytes;
}

function deflated(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + BLOCK_OVERHEAD);
  return out.subarray(0, deflateLiterals(bytes, out));
}

describe("literals alone", () => {
  test.each<[string, Uint8Array<ArrayBuffer>]>([
    ["nothing", new Uint8Array(0)],
    ["one byte", Uint8Array.of(7)],
    ["one byte, again and again", new Uint8Array(300 * KIB).fill(255)],
    ["two bytes", random(1000, 1)],
    ["noise", random(1000 * KIB)],
    ["noise to the end of a code's reach", random(256 * KIB)],
    ["one byte more", random(256 * KIB + 1)],
    ["bytes whose codes would be too long", skewed(1000 * KIB)],
  ])("%s", (_, bytes) => {
    const stream = deflated(bytes);
    expect(Buffer.compare(inflateRawSync(stream), bytes)).toBe(0);
    expect(stream.length).toBeLessThan(bytes.length + 512 * Math.ceil(bytes.length / 262_144 + 1));
  });

  test("of every length up to 600", () => {
    for (let length = 0; length < 600; length++) {
      const bytes = random(length, 1 + (length % 8));
      expect(Buffer.compare(inflateRawSync(deflated(bytes)), bytes)).toBe(0);
    }
  });

  test("as small as zlib makes them", () => {
    const bytes = random(500 * KIB, 7).map((byte, i) => byte & (i % 16 === 0 ? 3 : 127));
    const zlib = gzipSync(bytes, { strategy: constants.Z_HUFFMAN_ONLY });
    expect(deflated(bytes).length).toBeLessThan(1.01 * zlib.length);
    expect(literalBits(bytes) / 8).toBeWithin(0.98 * zlib.length, zlib.length);
  });
});

async function gzipped(bytes: Uint8Array, content: BlockContent, level = 1): Promise<Uint8Array> {
  const room = new Uint8Array(new SharedArrayBuffer(bytes.length + BLOCK_OVERHEAD));
  room.set(bytes);
  const input = { bytes: room.subarray(0, bytes.length), content };
  return room.slice(0, await gzipBlock(input, level, room));
}

describe("a member", () => {
  const dense = random(1000 * KIB, 7);
  const repeating = Buffer.concat(Array.from({ length: 1000 }, () => dense.subarray(0, 1000)));
  const hasGzip = needs("gzip");

  test.each<[string, Uint8Array, BlockContent]>([
    ["chunks that hardly repeat", dense, "chunks"],
    ["chunks that repeat", repeating, "chunks"],
    ["anything else", dense, "other"],
    ["few bytes", dense.subarray(0, 100), "other"],
    ["no bytes", new Uint8Array(0), "other"],
  ])("of %s is read by all", async (_, bytes, content) => {
    const member = await gzipped(bytes, content);
    expect(Buffer.compare(gunzipSync(member), bytes)).toBe(0);
    expect(Buffer.compare(fflateGunzip(member), bytes)).toBe(0);
    expect(Buffer.compare(await gzipped(bytes, content), member)).toBe(0);
  });

  test.skipIf(!hasGzip)(
    "of chunks that hardly repeat passes gzip -t, and a flipped bit doesn't",
    async () => {
      const member = await gzipped(dense, "chunks");
      const status = (stdin: Uint8Array) => Bun.spawnSync(["gzip", "-t"], { stdin }).exitCode;
      expect(status(member)).toBe(0);
      const at = member.length >> 1;
      member[at] = (member[at] ?? 0) ^ 1;
      expect(status(member)).toBe(1);
    },
  );

  test("is searched for repetitions only where there are some, and at higher levels anyway", async () => {
    const size = async (bytes: Uint8Array, level: number) =>
      (await gzipped(bytes, "chunks", level)).length;
    expect(await size(dense, 1)).toBeWithin(0.87 * dense.length, 0.88 * dense.length);
    expect(await size(repeating, 1)).toBeLessThan(0.05 * repeating.length);
    expect(await size(dense, 2)).not.toBe(await size(dense, 1));
  });
});
