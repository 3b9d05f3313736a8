import { constants, writeSync } from "node:fs";
import {
  type FileHandle,
  lstat,
  open,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode, errorText, Failure } from "./errors.ts";
import { tryFlock } from "./flock.ts";

/** Where an archive goes. Of commit and discard, exactly one is called, once, and last. */
export interface Sink {
  /** Resolves when the bytes are taken; the caller may then reuse the buffer. */
  write(chunk: Uint8Array): Promise<void>;
  /** All is there and proven: makes it durable and gives it its name. */
  commit(): Promise<void>;
  /** Leaves everything as it was before. */
  discard(): Promise<void>;
}

/** What an unfinished file is called: this behind the target's name, in the same directory. */
export const PARTIAL_SUFFIX = ".prombackup-partial";

/**
 * A file that is written beside its target, and takes its name by rename when it is complete: until
 * then the target is never touched. The unfinished file is locked (flock), so that a killed run's
 * leftover can be told from a running one's.
 *
 * @throws Failure if the target can't be written, or another run is writing it.
 */
export async function openFileSink(target: string): Promise<Sink> {
  const { real, existing } = await lookAt(target);
  if (existing !== undefined && !existing.isFile()) return openDeviceSink(real);
  const partial = `${real}${PARTIAL_SUFFIX}`;
  await removeLeftover(partial);
  const file = await createPartial(partial, existing?.mode ?? 0o666);
  return {
    write: async (chunk) => writeWhole(file.fd, chunk, target),
    commit: async () => {
      await named(target, () => file.sync());
      await rename(partial, real);
      await file.close();
      await syncDirectory(dirname(real));
    },
    discard: async () => {
      await rm(partial, { force: true });
      await file.close();
    },
  };
}

/**
 * Finds out what would keep {@link openFileSink} from writing, and leaves nothing behind. A pipe or a
 * device is not opened for that: its reader would take it for the end.
 *
 * @throws Failure as openFileSink would
 */
export async function checkTarget(target: string): Promise<void> {
  const { existing } = await lookAt(target);
  if (existing !== undefined && !existing.isFile()) return;
  const sink = await openFileSink(target);
  await sink.discard();
}

/** Where a target's content is, behind symbolic links, and what is there now. */
async function lookAt(target: string) {
  const real = await followLink(target);
  const existing = await stat(real).catch(absent);
  if (existing?.isDirectory()) throw new Failure(`${target} is a directory: name a file`);
  return { real, existing };
}

/** Removes unfinished files in a directory that a killed run left and whose target's name matches. */
export async function removeLeftovers(directory: string, target: RegExp): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith(PARTIAL_SUFFIX) || !target.test(name.slice(0, -PARTIAL_SUFFIX.length)))
      continue;
    await removeLeftover(join(directory, name)).catch(() => {
      // Another run is writing it, or it isn't ours to remove: not in the way of this one.
    });
  }
}

async function removeLeftover(partial: string): Promise<void> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(partial, flags).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new Failure(
      `${partial} is in the way, and can't be opened: ${errorText(error)}: remove it`,
    );
  });
  if (file === undefined) return;
  try {
    if (!lockPartial(file.fd))
      throw new Failure(
        `another prombackup is writing ${basename(partial, PARTIAL_SUFFIX)} (${partial} is locked)`,
      );
    await unlink(partial);
  } finally {
    await file.close();
  }
}

/** Where there is no flock(2), a leftover can't be told from a running run's file: it goes. */
function lockPartial(fd: number): boolean {
  return process.platform !== "linux" || tryFlock(fd, "exclusive");
}

async function createPartial(partial: string, mode: number): Promise<FileHandle> {
  try {
    const file = await open(partial, "wx", mode & 0o777);
    lockPartial(file.fd);
    return file;
  } catch (cause) {
    throw new Failure(`can't write ${partial}: ${errorText(cause)}`, { cause });
  }
}

/** A terminal, a tape or a named pipe keeps its name and gets the bytes as they come. */
async function openDeviceSink(path: string): Promise<Sink> {
  const file = await open(path, "w");
  return {
    write: async (chunk) => writeWhole(file.fd, chunk, path),
    commit: () => file.close(),
    discard: () => file.close(),
  };
}

/** Standard output: nothing can be taken back, so the exit status alone tells of a failed proof. */
export function standardOutputSink(): Sink {
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        process.stdout.write(chunk, (error) =>
          error
            ? reject(new Failure(`can't write to standard output: ${errorText(error)}`))
            : resolve(),
        );
      }),
    commit: async () => {},
    discard: async () => {},
  };
}

function writeWhole(fd: number, chunk: Uint8Array, target: string): void {
  try {
    for (let offset = 0; offset < chunk.byteLength; ) offset += writeSync(fd, chunk, offset);
  } catch (cause) {
    throw new Failure(`can't write ${target}: ${errorText(cause)}`, { cause });
  }
}

/** A small file that is there whole or not at all, synced. */
export async function writeFileAtomically(target: string, content: string): Promise<void> {
  const sink = await openFileSink(target);
  try {
    await sink.write(new TextEncoder().encode(content));
  } catch (error) {
    await sink.discard();
    throw error;
  }
  await sink.commit();
}

async function followLink(path: string): Promise<string> {
  const found = await lstat(path).catch(absent);
  return found?.isSymbolicLink() ? realpath(path) : path;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function named<T>(target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Failure(`can't write ${target}: ${errorText(cause)}`, { cause });
  }
}

function absent(error: unknown): undefined {
  if (errorCode(error) !== "ENOENT") throw new Failure(`can't write there: ${errorText(error)}`);
}
