import { gzipSync } from "fflate";
import { free } from "../free.ts";
import type { BlockFormat } from "./messages.ts";
import { addChecksum } from "./zstd-checksum.ts";

const KIB = 1024;

/**
 * Bytes of input in a block, at most: those of large files, and of the rest joined. Larger gzip members
 * save nothing, and larger zstd frames less than a hundredth, for 7 MB of memory per MiB. Of the small
 * things less is waited for, since the first are what a client waits for.
 */
export const BLOCK_SIZES = {
  tgz: { large: 1024 * KIB, small: 128 * KIB },
  tzst: { large: 4096 * KIB, small: 128 * KIB },
} as const;

export const LARGEST_BLOCK = BLOCK_SIZES.tzst.large;

/** What doesn't compress grows by less: 5 bytes for each 64 KiB or so, a header and a trailer. */
export const BLOCK_OVERHEAD = 64 * KIB;

/** fflate is as good as libdeflate on few bytes, and needs ten times as long for many. */
const FFLATE_LIMIT = 16 * KIB;
/** Higher levels take twice the time for the same size. */
const FFLATE_LEVEL = 3;

/**
 * A gzip member (RFC 1952) without a clock, or a zstd frame (RFC 8878) with a checksum. The same bytes
 * always become the same.
 *
 * @param input may be shared memory that nobody writes to meanwhile
 */
export function compressBlock(input: Uint8Array, { format, level }: BlockFormat): Uint8Array[] {
  if (format === "tzst") return addChecksum(Bun.zstdCompressSync(input, { level }), input);
  // libdeflate looks twice at its input, and would trust the second look.
  const own = new Uint8Array(input);
  try {
    if (own.length <= FFLATE_LIMIT) return [gzipSync(own, { level: FFLATE_LEVEL, mtime: 0 })];
    return [Bun.gzipSync(own, { library: "libdeflate", level: libdeflateLevel(level) })];
  } finally {
    free(own);
  }
}

/** Bun's types stop at zlib's levels. */
function libdeflateLevel(level: number): 1 {
  return level as 1;
}
