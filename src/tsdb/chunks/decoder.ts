import type { BitReader } from "./bit-reader.ts";

/** The timestamps, in milliseconds, of a chunk's first and last samples. */
export interface ChunkTimes {
  first: number;
  last: number;
}

/**
 * Reads all samples of a chunk of `count`, at least 1, from a reader that stands on the byte behind
 * the two count bytes, and leaves it behind the last sample. Values are stepped over; timestamps
 * are read. Takes time in proportion to the chunk's size, and no more memory than that, whatever
 * its bytes are.
 *
 * @returns what is wrong, or undefined. That the reader ran out, its `failed` tells.
 */
export type ChunkDecoder = (
  reader: BitReader,
  view: DataView,
  count: number,
  times: ChunkTimes,
) => string | undefined;

export const NOT_RISING = "its timestamps do not rise";
