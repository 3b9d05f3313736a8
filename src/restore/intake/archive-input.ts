import { realpathSync, statSync } from "node:fs";
import { decompress } from "../../archive/decompress/decompress.ts";
import { openArchive, shownArchive } from "../../archive/open-archive.ts";
import { readTar, type TarEntry } from "../../archive/tar/reader.ts";
import { startProgress } from "../../lib/command-line/progress.ts";
import { DamagedError, errorText } from "../../lib/errors.ts";

/** Where blocks come from. */
export interface ArchiveInput {
  /** For messages. */
  readonly name: string;
  /** No part of it is a symbolic link; undefined for standard input, or if there is no such file. */
  readonly path: string | undefined;
  /** Reads it from its start. */
  read(): AsyncIterable<TarEntry>;
  /** False for standard input and for a pipe, as `<(...)` is in a shell: they can be read once. */
  readonly repeatable: boolean;
}

/** An archive in any of the formats, read with a progress line. "-" is standard input. */
export function archiveInput(file: string, signal: AbortSignal): ArchiveInput {
  return {
    name: shownArchive(file),
    path: pathOf(file),
    read: () => readArchive(file, signal),
    repeatable: !isPipe(file),
  };
}

function isPipe(file: string): boolean {
  if (file === "-") return true;
  try {
    return statSync(file).isFIFO();
  } catch {
    // Whoever reads it tells why.
    return false;
  }
}

function pathOf(file: string): string | undefined {
  if (file === "-") return undefined;
  try {
    return realpathSync(file);
  } catch {
    // Whoever reads it tells why.
    return undefined;
  }
}

async function* readArchive(file: string, signal: AbortSignal): AsyncGenerator<TarEntry> {
  const { size, stream } = await openArchive(file);
  const progress = startProgress(size);
  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      signal.throwIfAborted();
      progress.add(chunk.byteLength);
      yield chunk;
    }
  }
  try {
    const { bytes } = await decompress(measured());
    yield* readTar(bytes);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    throw new DamagedError(`${shownArchive(file)} is damaged: ${errorText(error)}`);
  } finally {
    progress.end();
  }
}
