import { describe, expect, test } from "bun:test";
import { viewOf } from "../../../src/tsdb/bytes.ts";
import { type ChunkFault, decodeChunk, encodingOf } from "../../../src/tsdb/chunks/decode.ts";
import { BitWriter } from "../support/bit-writer.ts";
import { chunkVectors } from "../support/blocks.ts";
import { putUvarint, putVarint } from "../support/encode.ts";
import { randoms } from "../support/random.ts";

const VECTORS = chunkVectors();
const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

interface Decoded {
  readonly fault: ChunkFault | undefined;
  readonly samples: number;
  readonly first: number;
  readonly last: number;
}

/** Decodes the data of a chunk where it lies in a segment: behind other bytes, before its checksum. */
function decode(code: number, data: Uint8Array, samples?: number): Decoded {
  const encoding = encodingOf(code);
  if (encoding === undefined) throw new Error(`no encoding ${code}`);
  const bytes = new Uint8Array(data.length + 7).fill(255);
  bytes.set(data, 3);
  const view = viewOf(bytes);
  const count = samples ?? view.getUint16(3) & encoding.countMask;
  const times = { first: Number.NaN, last: Number.NaN };
  const fault = decodeChunk(encoding, view, 3, 3 + data.length, count, times);
  return { fault, samples: count, ...times };
}

test("the vectors are of all encodings", () => {
  expect(VECTORS).toHaveLength(390);
  const encodings = new Set(VECTORS.map(({ encoding }) => encoding));
  expect(encodings).toEqual(new Set([1, 2, 3, 4, 5, 6]));
});

test("decodes every chunk that Prometheus's own code made", () => {
  for (const { encoding, samples, first, last, data } of VECTORS) {
    expect(decode(encoding, data)).toEqual({ fault: undefined, samples, first, last });
  }
});

test.each([
  [1, 1, 0, "000180a0abfef9627ff0000000000002"],
  [1, 3, 30_000, "000380a0abfef9623ff000000000000098753003"],
  [1, 3, 40_000_001, "000380a0abfef9624000000000000000809ac5096e0008"],
  [4, 3, 30_000, "00030080a0abfef9623ff000000000000098755003"],
  [4, 3, 30_000, "00038080a0abfef96241d1c153c88c2ebd904e9875df2c0080"],
])("decodes a chunk of encoding %d whose bytes are written down", (code, samples, span, bytes) => {
  const first = 1_700_000_000_000;
  const expected = { fault: undefined, samples, first, last: first + span };
  expect(decode(code, hex(bytes))).toEqual(expected);
});

test("any number of zero bits up to a byte may follow, as an old writer left them", () => {
  // One sample ends at the end of a byte.
  const data = hex("000180a0abfef9627ff0000000000002");
  expect(decode(1, withBytes(data, 0)).fault).toBeUndefined();
  const text = "16 bits are left behind its 1 samples";
  expect(decode(1, withBytes(data, 0, 0)).fault).toEqual({ kind: "contradictory", text });
  expect(decode(1, withBytes(data, 1)).fault?.kind).toBe("contradictory");
});

test("more samples than are there, and fewer, are found", () => {
  for (const code of [1, 2, 3, 4, 5, 6]) {
    const { samples, data } = vector(code);
    expect(decode(code, data, samples + 20).fault?.text).toContain("ends within its");
    expect(decode(code, data, samples - 5).fault?.kind).toBe("contradictory");
  }
});

test("a chunk cut anywhere is found", () => {
  for (const { encoding, samples, data } of VECTORS) {
    if (samples > 30) continue;
    for (let size = 2; size < data.length; size++) {
      const { fault } = decode(encoding, data.subarray(0, size), samples);
      // A last byte without any sample's bits may go.
      if (size < data.length - 1) expect(fault).toBeDefined();
    }
  }
});

test("decoders end on any bytes, in time", () => {
  const random = randoms("decoders");
  for (let round = 0; round < 20_000; round++) {
    const data = random.bytes(2 + random.below(round % 100 === 0 ? 5000 : 60));
    // Zeros and ones make long runs and large numbers.
    if (round % 3 > 0) data.fill(round % 3 === 1 ? 255 : 0, random.below(data.length));
    for (let code = 1; code <= 6; code++) decode(code, data, 1 + random.below(65_535));
  }
});

test("decoders end on any turned bit of a real chunk", () => {
  const random = randoms("turned bits");
  for (const { encoding, samples, data } of VECTORS) {
    for (let round = 0; round < 40; round++) {
      const turned = data.slice();
      const bit = 16 + random.below(8 * data.length - 16);
      turned[bit >>> 3] = (turned[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      decode(encoding, turned, samples);
    }
  }
});

describe("floats", () => {
  test("changes of the delta in every width, to their edges", () => {
    for (const [prefix, ones, width] of [
      [0b10, 2, 14],
      [0b110, 3, 17],
      [0b1110, 4, 20],
      [0b1111, 4, 64],
    ] as const) {
      const half = width === 64 ? 2 ** 40 : 2 ** (width - 1);
      for (const change of [1, half - 1, half, 2 - half, 1 - half]) {
        const delta = 2 ** 41;
        const writer = xorStart(3, delta).put(prefix, ones).put(change, width).put(0, 1);
        const last = 2 * delta + change;
        expect(decode(1, writer.bytes())).toMatchObject({ fault: undefined, first: 0, last });
      }
    }
  });

  test("runs of constant samples of any length", () => {
    for (let samples = 2; samples < 200; samples++) {
      const writer = xorStart(samples, 10);
      for (let i = 2; i < samples; i++) writer.put(0, 2);
      expect(decode(1, writer.bytes())).toMatchObject({
        fault: undefined,
        last: 10 * (samples - 1),
      });
      expect(decode(1, writer.bytes(), samples + 9).fault?.kind).toBe("undecodable");
    }
  });

  test.each([
    ["equal times", xorStart(2, 0)],
    ["a delta that becomes zero", xorStart(3, 5).put(0b10, 2).put(-5, 14).put(0, 1)],
    ["a delta that becomes negative", xorStart(3, 5).put(0b10, 2).put(-6, 14).put(0, 1)],
  ])("%s do not rise", (_, writer) => {
    const fault = { kind: "contradictory" as const, text: "its timestamps do not rise" };
    expect(decode(1, writer.bytes()).fault).toEqual(fault);
  });

  test("a value in a window that was never opened, or is too wide", () => {
    const reused = xorStart(2, 5, false).put(0b10, 2).put(0, 60);
    expect(decode(1, reused.bytes()).fault?.text).toContain("not there");
    const wide = xorStart(2, 5, false).put(0b11, 2).put(30, 5).put(40, 6).put(0, 40);
    expect(decode(1, wide.bytes()).fault?.text).toContain("more than 64 bits");
  });

  test("a time that no number holds", () => {
    const writer = xorStart(3, 5)
      .put(0b1111, 4)
      .put(2n ** 60n, 64)
      .put(0, 1);
    expect(decode(1, writer.bytes()).fault?.kind).toBe("undecodable");
  });
});

test("a histogram of an unknown schema", () => {
  // No zero threshold, schema 53: six bits that follow two ones.
  const data = new BitWriter().put(1, 16).put(0, 8).put(0, 8).put(0b1110, 4).put(53, 9).put(0, 99);
  expect(decode(2, data.bytes()).fault?.text).toBe("its histogram schema 53 is unknown");
});

test("a number of buckets that the chunk has no room for asks for no memory", () => {
  for (const code of [2, 3, 5, 6]) {
    // One span, of 2^50 buckets, as two varbit integers of 3 and 56 bits.
    const data = new BitWriter().put(1, 16).put(0, 8).put(0, 8).put(0, 1).put(0b10001, 5);
    data
      .put(0b11111110, 8)
      .put(2n ** 50n, 56)
      .put(0, 200);
    expect(decode(code, data.bytes()).fault?.text).toContain("ends within its");
  }
});

/** A chunk up to sample 1, from time 0 on; its value is that of sample 0 unless it is left out. */
function xorStart(samples: number, delta: number, withValue = true): BitWriter {
  const writer = new BitWriter().put(samples, 16).putBytes(putVarint(0)).put(0, 64);
  writer.putBytes(putUvarint(delta));
  return withValue ? writer.put(0, 1) : writer;
}

function vector(code: number) {
  const found = VECTORS.find(({ encoding, samples }) => encoding === code && samples > 10);
  if (found === undefined) throw new Error(`no vector of encoding ${code}`);
  return found;
}

function withBytes(data: Uint8Array, ...bytes: number[]): Uint8Array {
  return Uint8Array.from([...data, ...bytes]);
}
