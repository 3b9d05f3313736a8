import { gzipBlock } from "./gzip-block.ts";
import type { BlockContent, BlockFormat } from "./messages.ts";
import { zstdBlock } from "./zstd-block.ts";

/** A block to compress. */
export interface BlockInput {
  /** May be shared memory that nobody writes to meanwhile. */
  readonly bytes: Uint8Array;
  readonly content: BlockContent;
}

/**
 * Makes a gzip member (RFC 1952) without a clock, or a zstd frame (RFC 8878) with a checksum, of a block.
 * The same bytes always become the same.
 *
 * @param output has room for the input and BLOCK_OVERHEAD; it may be the memory that the input is in
 * @returns how many bytes of `output` it took
 */
export async function compressBlock(
  input: BlockInput,
  { format, level }: BlockFormat,
  output: Uint8Array,
): Promise<number> {
  return format === "tgz" ? gzipBlock(input, level, output) : zstdBlock(input, level, output);
}
