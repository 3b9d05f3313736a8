import { stat } from "node:fs/promises";
import { decompress } from "../archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { BlockContents, type ContentReport } from "../archive/inspect/check-blocks.ts";
import { inspectArchive, type SnapshotReport } from "../archive/inspect/inspect.ts";
import { readTar } from "../archive/tar/reader.ts";
import { DamagedError, errorCode, errorText, Failure } from "../lib/errors.ts";
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

/** An archive's name in messages. */
export function shownArchive(file: string): string {
  return file === "-" ? "standard input" : file;
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
    for await (const chunk of readable(file, stream)) {
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

interface OpenArchive {
  /** Bytes, if they are known beforehand. */
  readonly size: number | undefined;
  readonly stream: AsyncIterable<Uint8Array>;
}

async function openArchive(file: string): Promise<OpenArchive> {
  if (file === "-") return { size: undefined, stream: Bun.stdin.stream() };
  const found = await stat(file).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") throw new Failure(`${file} doesn't exist`);
    throw unreadable(file, error);
  });
  if (found.isDirectory()) throw new Failure(`${file} is a directory, not an archive`);
  // Bun waits for it as for a pipe, which the system refuses.
  if (found.isCharacterDevice()) throw new Failure(`${file} is a device, not an archive`);
  return { size: found.isFile() ? found.size : undefined, stream: Bun.file(file).stream() };
}

async function* readable(
  file: string,
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (cause) {
    if (errorCode(cause) === undefined) throw cause;
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): Failure {
  return new Failure(`${shownArchive(file)} can't be read: ${errorText(cause)}`, { cause });
}
