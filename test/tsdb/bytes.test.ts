import { expect, test } from "bun:test";
import { ByteReader, uint64, viewOf, zerosEnd } from "../../src/tsdb/bytes.ts";
import { putUvarint, putVarint } from "./support/encode.ts";
import { randoms } from "./support/random.ts";

function readerOf(bytes: Uint8Array | readonly number[]): ByteReader {
  const reader = new ByteReader();
  reader.reset(Uint8Array.from(bytes), 0, bytes.length);
  return reader;
}

const hex = (text: string) => [...Buffer.from(text, "hex")];

test.each([
  [0, "00"],
  [1, "01"],
  [127, "7f"],
  [128, "8001"],
  [300, "ac02"],
  [16383, "ff7f"],
  [16384, "808001"],
  [2 ** 21, "80808001"],
  [2 ** 32 - 1, "ffffffff0f"],
  [2 ** 32, "8080808010"],
  [2 ** 53 - 1, "ffffffffffffff0f"],
])("reads the uvarint of %d", (value, bytes) => {
  const reader = readerOf(hex(bytes));
  expect(reader.uvarint()).toBe(value);
  expect([reader.failed, reader.left]).toEqual([false, 0]);
});

test.each([
  [0, "00"],
  [-1, "01"],
  [1, "02"],
  [-2, "03"],
  [63, "7e"],
  [-64, "7f"],
  [64, "8001"],
  [-65, "8101"],
  [1700000000000, "80a0abfef962"],
  [-1700000000000, "ff9fabfef962"],
])("reads the varint of %d", (value, bytes) => {
  const reader = readerOf(hex(bytes));
  expect(reader.varint()).toBe(value);
  expect([reader.failed, reader.left]).toEqual([false, 0]);
});

test("numbers below 2^31 are read as such, others fail", () => {
  const random = randoms("lengths");
  for (let round = 0; round < 20_000; round++) {
    const value = Math.floor(random.unit() * 2 ** random.below(40));
    const reader = readerOf([...putUvarint(value), 7]);
    const fits = value < 2 ** 31;
    expect([reader.uint31(), reader.failed]).toEqual([fits ? value : 0, !fits]);
    if (fits) expect(reader.byte()).toBe(7);
  }
  for (const value of [2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
    expect(readerOf(putUvarint(value)).uint31()).toBe(value < 2 ** 31 ? value : 0);
  }
  for (const cut of [[], [0x80], [0x80, 0x80, 0x80, 0x80], [0x80, 0x80, 0x80, 0x80, 0x80, 0]]) {
    const reader = readerOf(cut);
    expect([reader.uint31(), reader.failed]).toEqual([0, true]);
  }
});

test("numbers of any size up to 2^53 come back, signed and unsigned", () => {
  const random = randoms("varints");
  for (let round = 0; round < 20_000; round++) {
    const value = Math.floor(random.unit() * 2 ** random.below(54));
    const signed = random.below(2) === 0 ? Math.floor(value / 2) : -Math.floor(value / 2);
    const reader = readerOf([...putUvarint(value), ...putVarint(signed), ...putUvarint(signed)]);
    expect(reader.uvarint()).toBe(value);
    expect(reader.varint()).toBe(signed === 0 ? 0 : signed);
    expect(reader.uvarintAsSigned()).toBe(signed === 0 ? 0 : signed);
    expect([reader.failed, reader.left]).toEqual([false, 0]);
  }
});

test.each([
  ["2^53", "8080808080808010"],
  ["2^64-1", "ffffffffffffffffff01"],
  ["more than ten bytes", "8080808080808080808000"],
  ["a cut one", "ffff"],
  ["nothing", ""],
])("fails on the uvarint of %s", (_, bytes) => {
  const reader = readerOf(hex(bytes));
  expect(reader.uvarint()).toBe(0);
  expect(reader.failed).toBe(true);
});

test.each([
  ["more than 64 bits", "ffffffffffffffffff02"],
  ["eleven bytes", "ffffffffffffffffff8100"],
  ["-2^63", "80808080808080808001"],
  ["2^53, behind which are more bytes", "80808080808080100101"],
])("fails on the signed uvarint of %s", (_, bytes) => {
  const reader = readerOf(hex(bytes));
  expect(reader.uvarintAsSigned()).toBe(0);
  expect(reader.failed).toBe(true);
});

test("stays inside of the bounds it was given", () => {
  const reader = new ByteReader();
  reader.reset(Uint8Array.of(1, 2, 3, 4), 1, 3);
  expect([reader.byte(), reader.byte(), reader.left]).toEqual([2, 3, 0]);
  reader.skip(1);
  expect(reader.failed).toBe(true);
});

test("a 64-bit integer beyond 2^53 is not taken for a smaller one", () => {
  expect(uint64(viewOf(Uint8Array.from(hex("0000000100000002"))), 0)).toBe(2 ** 32 + 2);
  expect(uint64(viewOf(new Uint8Array(8).fill(255)), 0)).toBeGreaterThanOrEqual(2 ** 53);
});

test("tells where zeros end", () => {
  expect(zerosEnd(Uint8Array.of(0, 0, 1, 0), 0, 4)).toBe(2);
  expect(zerosEnd(Uint8Array.of(1, 0, 0), 1, 3)).toBe(3);
});
