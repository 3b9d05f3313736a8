import { expect, test } from "bun:test";
import { viewOf } from "../../../src/tsdb/bytes.ts";
import { BitReader } from "../../../src/tsdb/chunks/bit-reader.ts";
import { BitWriter, putVarbit } from "../support/bit-writer.ts";
import { putUvarint, putVarint } from "../support/encode.ts";
import { randoms } from "../support/random.ts";

/** A reader of the stream, which ends in the byte that bit `end` is in; ones follow. */
function readerOf(bytes: Uint8Array, size = bytes.length): BitReader {
  const padded = new Uint8Array(bytes.length + 4).fill(255);
  padded.set(bytes);
  const reader = new BitReader();
  reader.reset(viewOf(padded), 0, size);
  return reader;
}

const EDGES = [1, 2, 3, 5, 8, 11, 12, 17, 18, 24, 25, 31, 32, 33, 52].flatMap((n) => [
  2 ** n - 1,
  2 ** n,
  2 ** n + 1,
]);

test("varbit integers of every width come back", () => {
  const values = [0, ...EDGES];
  const writer = new BitWriter();
  for (const value of values) {
    putVarbit(writer, value, false);
    putVarbit(writer, value, true);
    putVarbit(writer, -value, true);
  }
  const reader = readerOf(writer.bytes());
  for (const value of values) {
    expect(reader.varbitUint()).toBe(value);
    expect(reader.varbitInt()).toBe(value);
    expect(reader.varbitInt() + 0).toBe(0 - value);
  }
  expect(reader.atPadding()).toBe(true);
});

test("the pattern of one and zeros is the positive number in signed widths, but in 64 bits", () => {
  const reader = readerOf(new BitWriter().put(0b1000, 4).put(0b1001, 4).bytes());
  expect([reader.signed(4), reader.signed(4)]).toEqual([8, -7]);
  expect(readerOf(new BitWriter().put(-(2n ** 52n), 64).bytes()).signed(64)).toBe(-(2 ** 52));
});

test("varints come back wherever they lie", () => {
  for (let shift = 0; shift < 8; shift++) {
    // The zigzag form doubles a number.
    for (const value of EDGES.filter((edge) => edge < 2 ** 52)) {
      const writer = new BitWriter().put(0, shift);
      writer.putBytes(putUvarint(value)).putBytes(putVarint(-value));
      const reader = readerOf(writer.bytes());
      reader.skip(shift);
      expect([reader.uvarint(), reader.varint()]).toEqual([value, -value]);
    }
  }
});

test("patterns, bits and ones are what was written, at any position", () => {
  const random = randoms("bits");
  const writer = new BitWriter();
  const items = Array.from({ length: 5000 }, () => {
    const width = random.below(33);
    const value = random.below(2 ** width);
    return { width, value, ones: random.below(6) };
  });
  for (const { width, value, ones } of items) {
    writer.put(value, width).put(-1, ones);
    if (ones < 5) writer.put(0, 1);
  }
  const reader = readerOf(writer.bytes());
  for (const { width, value, ones } of items) {
    const read = width <= 25 ? reader.bits(width) : reader.pattern(width) >>> 0;
    expect(read).toBe(value);
    expect(reader.ones(5)).toBe(ones);
  }
});

test("skipping varbit integers ends where reading them does", () => {
  const random = randoms("skips");
  for (let round = 0; round < 200; round++) {
    const writer = new BitWriter();
    const count = 1 + random.below(60);
    for (let i = 0; i < count; i++) {
      putVarbit(writer, random.below(3) > 0 ? 0 : random.below(2 ** random.below(32)), true);
    }
    const reader = readerOf(writer.bytes());
    reader.skipVarbits(count);
    expect([reader.failed, reader.at]).toEqual([false, writer.length]);
  }
});

test.each([
  ["bits", (reader: BitReader) => reader.bits(25)],
  ["a pattern", (reader: BitReader) => reader.pattern(32)],
  ["a skip", (reader: BitReader) => reader.skip(25)],
  ["ones", (reader: BitReader) => reader.skip(16) ?? reader.ones(8)],
  ["a uvarint", (reader: BitReader) => reader.uvarint()],
  ["a varbit integer", (reader: BitReader) => reader.varbitInt()],
  ["varbit integers", (reader: BitReader) => reader.skipVarbits(1e15)],
])("fails on %s behind the end, and on everything after", (_, read) => {
  const reader = readerOf(Uint8Array.of(255, 255, 255), 2);
  read(reader);
  expect(reader.failed).toBe(true);
  expect([reader.left, reader.bits(1), reader.atPadding()]).toEqual([0, 0, false]);
});

test.each([
  [2 ** 53, `11111111${"0".repeat(10)}1${"0".repeat(53)}`],
  [-(2 ** 53), `11111111${"1".repeat(11)}${"0".repeat(53)}`],
])("fails on an integer beyond 2^53: %d", (_, bits) => {
  const reader = readerOf(new BitWriter().put(BigInt(`0b${bits}`), bits.length).bytes());
  reader.varbitInt();
  expect(reader.failed).toBe(true);
});

test("padding is up to eight zero bits", () => {
  expect(readerOf(Uint8Array.of()).atPadding()).toBe(true);
  expect(readerOf(Uint8Array.of(0)).atPadding()).toBe(true);
  expect(readerOf(Uint8Array.of(1)).atPadding()).toBe(false);
  expect(readerOf(Uint8Array.of(0, 0)).atPadding()).toBe(false);
});
