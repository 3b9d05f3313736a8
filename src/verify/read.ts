import { decompress } from "../archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { BlockContents, type ContentReport } from "../archive/inspect/check-blocks.ts";
import { inspectArchive, type SnapshotReport } from "../archive/inspect/inspect.ts";
import { openArchive, shownArchive } from "../archive/open-archive.ts";
import { readTar } from "../archive/tar/reader.ts";
import { DamagedError, errorText } from "../lib/errors.ts";
import { startProgress } from "../lib/progress.ts";
import type { CheckLevel } from "../tsdb/check-block.ts";

/** What the reading of an archive to its end told. */
export interface ReadArchive {
  readonly format: ArchiveFormat;
  readonly bytes: number;
  readonly sha256: string;
  readonly report: SnapshotReport;
  /** Undefined if only the container was checked. */
  readonly contents: ContentReport | undefined;
}

/**
 * Reads an archive once, and checks it meanwhile.
 *
 * @param file "-" is standard input.
 * @param level How closely the blocks are checked; undefined: not at all.
 * @throws DamagedError if its container is damaged, Failure if it can't be read
 */
export async function readArchive(
  file: string,
  level: CheckLevel | undefined,
  signal: AbortSignal,
): Promise<ReadArchive> {
  const { size, stream } = await openArchive(file);
  const progress = startProgress(size);
  const hasher = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      signal.throwIfAborted();
      hasher.update(chunk);
      bytes += chunk.byteLength;
      progress.add(chunk.byteLength);
      yield chunk;
    }
  }
  try {
    const { format, bytes: tar } = await decompress(measured());
    const contents = level && new BlockContents(level);
    const entries = readTar(tar);
    const report = await inspectArchive(contents?.watch(entries) ?? entries);
    return { format, bytes, sha256: hasher.digest("hex"), report, contents: contents?.report() };
  } catch (error) {
    if (error instanceof DamagedError)
      throw new DamagedError(`${shownArchive(file)} is damaged: ${errorText(error)}`);
    throw error;
  } finally {
    progress.end();
  }
}
