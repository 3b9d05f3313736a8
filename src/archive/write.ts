import { Failure } from "../lib/errors.ts";
import { slices } from "../lib/slices.ts";
import { free } from "./buffers.ts";
import type { Compressor } from "./compress/compress.ts";
import { encodeTar, type MemberWatcher, type TarPiece } from "./encode.ts";
import type { ArchiveFormat } from "./format.ts";
import type { ArchivePlan } from "./plan.ts";

export { type Compressor, type CompressorOptions, createCompressor } from "./compress/compress.ts";
export { DEFAULT_LEVELS, LEVEL_RANGES } from "./compress/levels.ts";

/** Headers and small files are joined up to this many bytes: each chunk costs its consumers a turn. */
const JOINED = 128 * 1024;

/**
 * The bytes of a planned archive: the same for the same snapshot, whatever else runs. All chunks are
 * the consumer's own, of at most 512 KiB. It works at its consumer's pace and a few blocks ahead. When
 * the `return()` of a consumer that stops early resolves, nothing is held any more.
 *
 * ```ts
 * const plan = await planArchive("/data/snapshots/20261122T155836Z-16a7", "20261122T155836Z-16a7");
 * for await (const chunk of writeArchive(plan, "tgz", compressor)) socket.write(chunk);
 * ```
 *
 * @param signal stops it: it then throws the signal's reason
 * @param watcher sees the contents before they are sent; what it throws ends the archive
 * @throws Failure naming `NAME/path` if a file vanished, can't be read, or isn't any more what was
 *   planned; and, **after the last byte**, if there was something that no archive can hold (links,
 *   sockets, devices), naming each. A Failure if a compression worker broke.
 */
export async function* writeArchive(
  plan: ArchivePlan,
  format: ArchiveFormat,
  compressor: Compressor,
  signal?: AbortSignal,
  watcher?: MemberWatcher,
): AsyncGenerator<Uint8Array, void> {
  const pieces = encodeTar(plan, signal, watcher);
  const pause = slices();
  const chunks = format === "tar" ? joinSmall(pieces) : compressor.compress(pieces, format);
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    // What lies ready would otherwise be taken without the event loop ever turning.
    await pause();
    yield chunk;
  }
  signal?.throwIfAborted();
  if (plan.leftOut.length > 0) {
    throw new Failure(`left out of the archive: ${plan.leftOut.join("; ")}`);
  }
}

async function* joinSmall(pieces: AsyncIterable<TarPiece>): AsyncGenerator<Uint8Array> {
  const joined = new Uint8Array(JOINED);
  let length = 0;
  for await (const bytes of contents(pieces)) {
    let ours = true;
    try {
      if (length > 0 && length + bytes.length > JOINED) {
        yield joined.slice(0, length);
        length = 0;
      }
      ours = bytes.length <= JOINED;
      if (ours) {
        joined.set(bytes, length);
        length += bytes.length;
      } else {
        yield bytes;
      }
    } finally {
      if (ours) free(bytes);
    }
  }
  if (length > 0) yield joined.slice(0, length);
}

async function* contents(pieces: AsyncIterable<TarPiece>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    if ("bytes" in piece) yield piece.bytes;
    else {
      for await (const bytes of piece.file.read()) {
        await piece.content?.push(bytes);
        yield bytes;
      }
    }
  }
}
