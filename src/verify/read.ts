import type { ArchiveFormat } from "../archive/format.ts";
import { openArchive, shownArchive } from "../archive/open-archive.ts";
import { startProgress } from "../lib/command-line/progress.ts";
import { DamagedError, errorText } from "../lib/errors.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import { type Checked, checkArchive } from "./check.ts";

/** What the reading of a backup to its end told. */
export interface ReadBackup extends Checked {
  readonly format: ArchiveFormat | "directory";
  /** Of the archive as it is; of a directory, its files' contents. */
  readonly bytes: number;
  /** Undefined for a directory. */
  readonly sha256: string | undefined;
}

/**
 * Reads an archive once, and checks it meanwhile.
 *
 * @param file "-" is standard input.
 * @param checks How and where the blocks are checked; undefined: not at all.
 * @throws DamagedError if its container is damaged, Failure if it can't be read
 */
export async function readArchive(
  file: string,
  checks: BlockChecks | undefined,
  signal: AbortSignal,
): Promise<ReadBackup & { readonly sha256: string }> {
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
    const checked = await checkArchive(measured(), checks);
    return { ...checked, bytes, sha256: hasher.digest("hex") };
  } catch (error) {
    if (error instanceof DamagedError)
      throw new DamagedError(`${shownArchive(file)} is damaged: ${errorText(error)}`);
    throw error;
  } finally {
    progress.end();
  }
}
