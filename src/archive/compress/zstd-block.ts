import { constants, zstdCompressSync } from "node:zlib";
import { free } from "../free.ts";
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
 * Samples are packed by the bit, so that short matches in chunks are chance: not to look for them takes
 * a third off the time, and adds a hundredth to the size.
 */
function parameters(level: number, content: BlockContent): Record<number, number> {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag, ZSTD_c_minMatch } = constants;
  if (content === "chunks" && level < THOROUGH_LEVEL) {
    return { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_minMatch]: 6, [ZSTD_c_checksumFlag]: 1 };
  }
  return { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 };
}
