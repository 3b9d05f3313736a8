import { BitReader } from "./bit-reader.ts";
import { type ChunkDecoder, type ChunkTimes, NOT_RISING } from "./decoder.ts";
import {
  decodeFloatHistogram,
  decodeFloatHistogramStart,
  decodeHistogram,
  decodeHistogramStart,
} from "./histogram.ts";
import { decodeXor } from "./xor.ts";
import { decodeXor2 } from "./xor2.ts";

interface Encoding {
  readonly name: string;
  /** The bits of the two bytes at the chunk's start that count samples. */
  readonly countMask: number;
  readonly holds: "floats" | "histograms";
  readonly decode: ChunkDecoder;
}

/** The chunk encodings by their byte; 0 is never on disk. Prometheus before 3.11 knows 1 to 3. */
const ENCODINGS: readonly (Encoding | undefined)[] = [
  undefined,
  { name: "XOR", countMask: 0xffff, holds: "floats", decode: decodeXor },
  { name: "histogram", countMask: 0xffff, holds: "histograms", decode: decodeHistogram },
  { name: "float histogram", countMask: 0xffff, holds: "histograms", decode: decodeFloatHistogram },
  { name: "XOR2", countMask: 0xffff, holds: "floats", decode: decodeXor2 },
  // The upper two bits are the counter reset, as the third byte went to the start times.
  { name: "histogram ST", countMask: 0x3fff, holds: "histograms", decode: decodeHistogramStart },
  {
    name: "float histogram ST",
    countMask: 0x3fff,
    holds: "histograms",
    decode: decodeFloatHistogramStart,
  },
];

export const ENCODING_COUNT = ENCODINGS.length;

/** What a byte says of a chunk, or undefined if it is no encoding that Prometheus 3.14 knows. */
export function encodingOf(byte: number): Encoding | undefined {
  return ENCODINGS[byte];
}

/** What is wrong with a chunk whose checksum is right. */
export interface ChunkFault {
  /** Undecodable: its reader fails. Contradictory: it reads, but not what was written. */
  readonly kind: "undecodable" | "contradictory";
  readonly text: string;
}

const reader = new BitReader();

/**
 * Decodes every sample of a chunk: `[start, end)` of the view is its data, which begins with its
 * count, `count` the value of that. At least 4 more bytes must follow in the view.
 *
 * @param times receives the first and last timestamps.
 * @returns what is wrong, or undefined.
 */
export function decodeChunk(
  encoding: Encoding,
  view: DataView,
  start: number,
  end: number,
  count: number,
  times: ChunkTimes,
): ChunkFault | undefined {
  reader.reset(view, start + 2, end);
  const fault = encoding.decode(reader, view, count, times);
  if (fault === NOT_RISING) return { kind: "contradictory", text: fault };
  if (fault !== undefined) return { kind: "undecodable", text: fault };
  if (reader.failed) return { kind: "undecodable", text: `it ends within its ${count} samples` };
  const left = reader.left;
  if (reader.atPadding()) return undefined;
  return { kind: "contradictory", text: `${left} bits are left behind its ${count} samples` };
}
