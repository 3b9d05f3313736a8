import { stat } from "node:fs/promises";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import { readPieces } from "../lib/files/read-pieces.ts";

/** An archive's bytes, as they lie in a file or come from a pipe. */
export interface OpenArchive {
  /** Bytes, if they are known beforehand. */
  readonly size: number | undefined;
  /** Can be read once; a piece is good until the next one. Throws a Failure if the file can't be read. */
  readonly stream: AsyncIterable<Uint8Array>;
}

/** An archive's name in messages. */
export function shownArchive(file: string): string {
  return file === "-" ? "standard input" : file;
}

/**
 * Opens an archive.
 *
 * @param file "-" is standard input.
 * @throws Failure if there is no such file, or it is none that can be read
 */
export async function openArchive(file: string): Promise<OpenArchive> {
  if (file === "-") return { size: undefined, stream: readable(file, Bun.stdin.stream()) };
  const found = await stat(file).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") throw new Failure(`${file} doesn't exist`);
    throw unreadable(file, error);
  });
  if (found.isDirectory()) throw new Failure(`${file} is a directory, not an archive`);
  // Bun waits for it as for a pipe, which the system refuses.
  if (found.isCharacterDevice()) throw new Failure(`${file} is a device, not an archive`);
  if (!found.isFile()) return { size: undefined, stream: readable(file, Bun.file(file).stream()) };
  return { size: found.size, stream: readable(file, readPieces(file)) };
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
