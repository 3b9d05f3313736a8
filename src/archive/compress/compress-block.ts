import { constants, zstdCompressSync } from "node:zlib";
import { free } from "../free.ts";
import type { BlockContent, BlockFormat } from "./messages.ts";

/** fflate is as good as libdeflate on few bytes, and needs ten times as long for many. */
const FFLATE_LIMIT = 16 * 1024;
/** Higher levels take twice the time for the same size. */
const FFLATE_LEVEL = 3;

/**
 * A gzip member (RFC 1952) without a clock, or a zstd frame (RFC 8878) with a checksum. The same bytes
 * always become the same.
 *
 * @param input may be shared memory that nobody writes to meanwhile
 */
export async function compressBlock(
  input: Uint8Array,
  { format, level }: BlockFormat,
  content: BlockContent,
): Promise<Uint8Array> {
  if (format === "tzst")
    return zstdCompressSync(input, {
      params: zstdParameters(level, content),
      chunkSize: input.length + 65536,
    });
  // libdeflate looks twice at its input, and would trust the second look.
  const own = new Uint8Array(input);
  try {
    if (own.length <= FFLATE_LIMIT) return await compressSmall(own);
    return Bun.gzipSync(own, { library: "libdeflate", level: libdeflateLevel(level) });
  } finally {
    free(own);
  }
}

/** From here on zstd searches as it thinks best. */
const THOROUGH_LEVEL = 3;

/**
 * Samples are packed by the bit, so that short matches in chunks are chance: not to look for them takes
 * a third off the time, and adds a hundredth to the size.
 */
function zstdParameters(level: number, content: BlockContent): Record<number, number> {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag, ZSTD_c_minMatch } = constants;
  if (content === "chunks" && level < THOROUGH_LEVEL) {
    return { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_minMatch]: 6, [ZSTD_c_checksumFlag]: 1 };
  }
  return { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 };
}

/** Bun's types stop at zlib's levels. */
function libdeflateLevel(level: number): 1 {
  return level as 1;
}

/** Loaded when it is needed first: it takes 5 MB of each thread's memory. */
async function compressSmall(input: Uint8Array): Promise<Uint8Array> {
  const { gzipSync } = await import("fflate");
  return gzipSync(input, { level: FFLATE_LEVEL, mtime: 0 });
}
