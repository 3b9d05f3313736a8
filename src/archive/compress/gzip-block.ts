import { gzipSync } from "fflate";
import type { TarPiece } from "../encode.ts";
import { GZIP_LARGE_LEVEL, GZIP_SMALL_LEVEL } from "./levels.ts";

/** Bytes of input in a gzip member, at most. */
export const GZIP_BLOCK = 1024 * 1024;

/** The same for small things: fflate needs 10 ms for these, and the first are waited for. */
export const GZIP_SMALL_BLOCK = 128 * 1024;

/** A member is larger than its input at worst by its header and trailer and 5 bytes for each 64 KiB or so. */
export const GZIP_OVERHEAD = 16 * 1024;

/**
 * One gzip member (RFC 1952), without a clock. By fflate, in plain JavaScript, for the many small
 * things; by Bun's own libdeflate, ten times as fast, for the contents of large files.
 *
 * @param input not shared memory
 */
export function gzipBlock(input: Uint8Array<ArrayBuffer>, kind: TarPiece["kind"]): Uint8Array {
  if (kind === "small") return gzipSync(input, { level: GZIP_SMALL_LEVEL, mtime: 0 });
  return Bun.gzipSync(input, { library: "libdeflate", level: GZIP_LARGE_LEVEL });
}
