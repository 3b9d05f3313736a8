import { describe, expect, test } from "bun:test";
import { codeLengths, LENGTH_SHIFT, makeCodes } from "../../../src/archive/compress/huffman.ts";

function lengthsOf(counts: readonly number[], limit = 15): number[] {
  const lengths = new Uint8Array(counts.length);
  codeLengths(Uint32Array.from(counts), limit, lengths);
  return [...lengths];
}

/** 1 for a code that leaves nothing unused, more for one that can't be told apart. */
function kraft(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + (length === 0 ? 0 : 2 ** -length), 0);
}

describe("lengths", () => {
  test.each<[string, number[], number[]]>([
    ["a lone symbol takes a bit", [0, 7, 0], [0, 1, 0]],
    ["two take a bit each", [5, 0, 9], [1, 0, 1]],
    ["the frequent ones are short", [1, 1, 2, 4], [3, 3, 2, 1]],
    ["all alike", [3, 3, 3, 3], [2, 2, 2, 2]],
  ])("%s", (_, counts, lengths) => expect(lengthsOf(counts)).toEqual(lengths));

  test("none is over the limit, and no code is left unused", () => {
    // The counts of the deepest tree there is.
    const fibonacci = [1, 1];
    while (fibonacci.length < 40) fibonacci.push((fibonacci.at(-1) ?? 0) + (fibonacci.at(-2) ?? 0));
    expect(Math.max(...lengthsOf(fibonacci, 64))).toBe(39);
    for (const limit of [7, 10, 15]) {
      const lengths = lengthsOf(fibonacci, limit);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(limit);
      expect(kraft(lengths)).toBe(1);
    }
  });

  test("of random counts, as many bits as the best code has", () => {
    for (let round = 0; round < 500; round++) {
      const counts = Array.from({ length: 2 + (round % 256) }, () =>
        Math.floor(1000 * Math.random() ** (round % 7)),
      );
      counts[0] = 1;
      counts[1] = 1;
      const lengths = lengthsOf(counts, 64);
      const bits = counts.reduce((sum, count, i) => sum + count * (lengths[i] ?? 0), 0);
      expect(bits).toBe(leastBits(counts));
      expect(kraft(lengths)).toBe(1);
    }
  });
});

/** Huffman's own rule, the slow way: each joining of the two lightest costs their weight. */
function leastBits(counts: readonly number[]): number {
  const weights = counts.filter((count) => count > 0);
  let bits = 0;
  while (weights.length > 1) {
    weights.sort((a, b) => b - a);
    const joined = (weights.pop() ?? 0) + (weights.pop() ?? 0);
    bits += joined;
    weights.push(joined);
  }
  return bits;
}

test("codes of the example in RFC 1951, with their bits turned round", () => {
  const lengths = Uint8Array.of(3, 3, 3, 3, 3, 2, 4, 4);
  const codes = new Uint32Array(8);
  makeCodes(lengths, codes);
  const texts = [...codes].map((code) => {
    const bits = (code & 0xffff).toString(2).padStart(code >>> LENGTH_SHIFT, "0");
    return [...bits].reverse().join("");
  });
  expect(texts).toEqual(["010", "011", "100", "101", "110", "00", "1110", "1111"]);
});
