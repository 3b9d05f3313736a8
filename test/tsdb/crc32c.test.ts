import { expect, test } from "bun:test";
import { viewOf } from "../../src/tsdb/bytes.ts";
import { crc32c, crcText } from "../../src/tsdb/crc32c.ts";

const ascii = (text: string) => new TextEncoder().encode(text);
const upTo = (count: number) => Uint8Array.from({ length: count }, (_, i) => i);

test.each([
  ["", ascii(""), "00000000"],
  ["a", ascii("a"), "c1d04330"],
  ["abc", ascii("abc"), "364b3fb7"],
  ["the digits", ascii("123456789"), "e3069283"],
  ["a sentence", ascii("The quick brown fox jumps over the lazy dog"), "22620404"],
  ["a zero", new Uint8Array(1), "527d5351"],
  ["zeros", new Uint8Array(32), "8a9136aa"],
  ["ones", new Uint8Array(32).fill(255), "62a8ab43"],
  ["ascending", upTo(32), "46dd794e"],
  ["descending", upTo(32).reverse(), "113fdb5c"],
  ["all bytes", upTo(256), "9c44184b"],
])("the checksum of %s is the published one", (_, bytes, expected) => {
  expect(crcText(crc32c(viewOf(bytes), 0, bytes.length))).toBe(expected);
});

test("any cut of the bytes gives the same checksum, and so does any place in a buffer", () => {
  const bytes = upTo(100);
  const expected = bitByBit(bytes);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const first = crc32c(viewOf(bytes), 0, cut);
    expect(crc32c(viewOf(bytes), cut, bytes.length, first)).toBe(expected);
    const moved = new Uint8Array(200);
    moved.set(bytes, cut);
    expect(crc32c(viewOf(moved), cut, cut + bytes.length)).toBe(expected);
  }
});

/** The definition: one bit a step. */
function bitByBit(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc;
}
