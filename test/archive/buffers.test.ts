import { expect, test } from "bun:test";
import { allocate, free, LARGEST_PIECE } from "../../src/archive/buffers.ts";

const SIZES = [1, 100_000, LARGEST_PIECE, LARGEST_PIECE + 1];

test.each(SIZES)("gives room for %d bytes", (size) => {
  for (let i = 0; i < 20; i++) {
    const bytes = allocate(size);
    expect(bytes.length).toBe(size);
    free(bytes);
  }
});

test("memory goes to one at a time", () => {
  const first = allocate(500_000);
  free(first.subarray(1000, 9000));
  expect(() => free(first)).toThrow("freed twice");
  const taken = Array.from({ length: 20 }, () => allocate(500_000));
  expect(new Set(taken.map(({ buffer }) => buffer)).size).toBe(20);
  taken.forEach(free);
  // No more is kept than one download has in hand.
  expect(taken.filter(({ length }) => length > 0).length).toBe(8);
});

test("a view of a part gives all of its memory back", () => {
  const whole = new Uint8Array(10_000);
  free(whole.subarray(5000));
  expect(whole.length).toBe(0);
});
