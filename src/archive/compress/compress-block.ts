import { free } from "../free.ts";
import type { BlockFormat } from "./messages.ts";
import { addChecksum } from "./zstd-checksum.ts";

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
): Promise<Uint8Array[]> {
  if (format === "tzst") return addChecksum(Bun.zstdCompressSync(input, { level }), input);
  // libdeflate looks twice at its input, and would trust the second look.
  const own = new Uint8Array(input);
  try {
    if (own.length <= FFLATE_LIMIT) return [await compressSmall(own)];
    return [Bun.gzipSync(own, { library: "libdeflate", level: libdeflateLevel(level) })];
  } finally {
    free(own);
  }
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
