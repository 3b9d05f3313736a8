import { constants, zstdCompressSync } from "node:zlib";
import { free } from "../buffers.ts";
import { BLOCK_OVERHEAD } from "./block-sizes.ts";
import type { BlockInput } from "./compress-block.ts";
import type { BlockContent } from "./messages.ts";

/** From here on zstd searches as it thinks best. */
const THOROUGH_LEVEL = 3;

/** A zstd frame (RFC 8878) with a checksum of its content; see compress-block.ts. */
export function zstdBlock(
  { bytes, content }: BlockInput,
  level: number,
  output: Uint8Array,
): number {
  const frame = zstdCompressSync(bytes, {
    params: parameters(level, content),
    // In one piece: many take half as much time again, and twice the memory.
    chunkSize: bytes.length + BLOCK_OVERHEAD,
  });
  const { length } = frame;
  output.set(frame);
  free(frame);
  return length;
}

/**
 * Samples are packed by the bit, so that short matches in chunks are chance, and so is what their bytes
 * have in common: to look for long matches only, at every third byte, and to store the other bytes as
 * they are takes half of the time, and adds a thirtieth to the size.
 */
const OF_CHUNKS = {
  [constants.ZSTD_c_compressionLevel]: 1,
  [constants.ZSTD_c_minMatch]: 7,
  // Of the fast strategy: the step of the search, less one; and bytes without a match aren't coded.
  [constants.ZSTD_c_targetLength]: 2,
  [constants.ZSTD_c_checksumFlag]: 1,
};

function parameters(level: number, content: BlockContent): Record<number, number> {
  if (content === "chunks" && level < THOROUGH_LEVEL) return OF_CHUNKS;
  return {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_checksumFlag]: 1,
  };
}
