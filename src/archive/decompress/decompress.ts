import { ByteSource } from "../byte-source.ts";
import type { ArchiveFormat } from "../format.ts";
import { DETECT_BYTES, detectFormat } from "./detect.ts";
import { gunzip } from "./gunzip.ts";
import { unzstd } from "./unzstd.ts";

/** An archive's format, and its tar stream. */
export interface Decompressed {
  readonly format: ArchiveFormat;
  /** Can be read once. The input is closed at its end, or when the consumer stops early. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/**
 * Takes an archive's bytes, tells the format by the first of them (not by a name) and decompresses.
 * gzip may have many members and zstd many frames. Decompression runs on the thread pool, in bounded
 * memory, no faster than `bytes` is read. The input comes in pieces of any size, each of which must be
 * good until the next is asked for.
 *
 * @throws DamagedError if it is no archive, by what it looks like. Reading `bytes` throws one if the
 *   compressed data are damaged, end too early, or go on after their end; offsets in its message
 *   are in the compressed file. Errors of the input are passed on.
 */
export async function decompress(input: AsyncIterable<Uint8Array>): Promise<Decompressed> {
  const source = new ByteSource(input);
  try {
    const head = await source.exactly(DETECT_BYTES);
    const format = detectFormat(head);
    return { format, bytes: decoded(format, again(head, source)) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function decoded(
  format: ArchiveFormat,
  bytes: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  if (format === "tgz") return gunzip(bytes);
  return format === "tzst" ? unzstd(bytes) : bytes;
}

async function* again(head: Uint8Array, source: ByteSource): AsyncGenerator<Uint8Array> {
  try {
    yield head;
    yield* source.rest();
  } finally {
    await source.close();
  }
}
