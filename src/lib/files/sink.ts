import { writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { errorText, Failure } from "../errors.ts";

/**
 * Where an archive goes. The calls are write…, sync, commit, settle; discard instead of commit, at any
 * moment before it. Of commit and discard, exactly one is called, once; after it, only settle.
 */
export interface Sink {
  /** It can be read again later: neither a device nor standard output. */
  readonly isFile: boolean;
  /** Resolves when the bytes are taken; the caller may then reuse the buffer. */
  write(chunk: Uint8Array): Promise<void>;
  /** Everything is written: makes it durable. */
  sync(): Promise<void>;
  /** Gives it its name; if that fails, everything is as it was before. */
  commit(): Promise<void>;
  /** Makes the name durable, too. */
  settle(): Promise<void>;
  /** Leaves everything as it was before, as far as the disk lets it; doesn't throw. */
  discard(): Promise<void>;
}

/**
 * A terminal, a tape or a named pipe keeps its name and gets the bytes as they come. Its reader may
 * take its time, so no write waits in this thread.
 */
export async function openDeviceSink(path: string): Promise<Sink> {
  const file = await open(path, "w");
  return {
    isFile: false,
    write: async (chunk) => {
      try {
        for (let offset = 0; offset < chunk.byteLength; )
          offset += (await file.write(chunk, offset)).bytesWritten;
      } catch (cause) {
        throw new Failure(`can't write ${path}: ${errorText(cause)}`, { cause });
      }
    },
    sync: async () => {},
    commit: () => file.close(),
    settle: async () => {},
    discard: () => file.close().catch(() => {}),
  };
}

/** Standard output: nothing can be taken back, so the exit status alone tells of a failed proof. */
export function standardOutputSink(): Sink {
  return {
    isFile: false,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        process.stdout.write(chunk, (error) =>
          error
            ? reject(new Failure(`can't write to standard output: ${errorText(error)}`))
            : resolve(),
        );
      }),
    sync: async () => {},
    commit: async () => {},
    settle: async () => {},
    discard: async () => {},
  };
}

/** @throws Failure that names the target */
export function writeWhole(fd: number, chunk: Uint8Array, target: string): void {
  try {
    for (let offset = 0; offset < chunk.byteLength; ) offset += writeSync(fd, chunk, offset);
  } catch (cause) {
    throw new Failure(`can't write ${target}: ${errorText(cause)}`, { cause });
  }
}
