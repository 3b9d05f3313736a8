import { constants, type Stats } from "node:fs";
import {
  type FileHandle,
  lstat,
  open,
  readdir,
  realpath,
  rename,
  stat,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { errorCode, errorText, Failure } from "../errors.ts";
import { tryFlock } from "./flock.ts";
import { openDeviceSink, type Sink, writeWhole } from "./sink.ts";
import { syncDirectory } from "./sync-directory.ts";

/** What an unfinished file is called: this behind the target's name, in the same directory. */
export const PARTIAL_SUFFIX = ".prombackup-partial";

/** What a file system takes for the length of one name, in bytes. */
const LONGEST_NAME = 255;

/**
 * A file that is written beside its target, and takes its name by rename when it is complete: until
 * then the target is never touched. The unfinished file is locked (flock), so that a killed run's
 * leftover can be told from a running one's.
 *
 * @throws Failure if the target can't be written, or another run is writing it.
 */
export async function openFileSink(target: string): Promise<Sink> {
  const { real, existing } = await lookAt(target);
  if (real === undefined) return openDeviceSink(target);
  const { path, file, remove } = await openPartial(real, existing);
  // What made it necessary is to be told; what stays is removed by the next run.
  const discard = () => remove().catch(() => {});
  return {
    isFile: true,
    write: async (chunk) => writeWhole(file.fd, chunk, target),
    sync: () => named(target, () => file.sync()),
    commit: async () => {
      try {
        await named(target, () => rename(path, real));
      } catch (error) {
        await discard();
        throw error;
      }
    },
    settle: async () => {
      await file.close();
      try {
        syncDirectory(dirname(real));
      } catch (cause) {
        const risk = "is complete and in place, but may be gone after a power cut";
        throw new Failure(`${target} ${risk}: ${errorText(cause)}`, { cause });
      }
    },
    discard,
  };
}

/**
 * Finds out what would keep {@link openFileSink} from writing, and leaves nothing behind. A pipe or a
 * device is not opened for that: its reader would take it for the end.
 *
 * @returns what it is that would be written
 * @throws Failure as openFileSink would
 */
export async function checkTarget(target: string): Promise<"file" | "device"> {
  const { real, existing } = await lookAt(target);
  if (real === undefined) return "device";
  const { remove } = await openPartial(real, existing);
  await remove();
  return "file";
}

/**
 * Removes unfinished files in a directory that a killed run left and whose target's name matches.
 *
 * @returns what could not be removed, and why; files of other runs that go on are passed over
 */
export async function removeLeftovers(directory: string, target: RegExp): Promise<string[]> {
  const problems: string[] = [];
  for (const name of await readdir(directory)) {
    if (!name.endsWith(PARTIAL_SUFFIX) || !target.test(name.slice(0, -PARTIAL_SUFFIX.length)))
      continue;
    try {
      await removeLeftover(join(directory, name));
    } catch (error) {
      if (!(error instanceof BeingWritten)) problems.push(errorText(error));
    }
  }
  return problems;
}

/** A small file that is there whole or not at all, synced. */
export async function writeFileAtomically(target: string, content: string): Promise<void> {
  const sink = await openFileSink(target);
  try {
    await sink.write(new TextEncoder().encode(content));
    await sink.sync();
  } catch (error) {
    await sink.discard();
    throw error;
  }
  await sink.commit();
  await sink.settle();
}

/** Another run holds the unfinished file. */
class BeingWritten extends Failure {}

async function removeLeftover(partial: string): Promise<void> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(partial, flags).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    if (errorCode(error) === "ENAMETOOLONG") throw nameTooLong(partial);
    throw new Failure(
      `${partial} is in the way, and can't be opened: ${errorText(error)}: remove it`,
    );
  });
  if (file === undefined) return;
  try {
    if (!lockPartial(file.fd))
      throw new BeingWritten(
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

/** An unfinished file: locked, and empty. */
interface Unfinished {
  readonly path: string;
  readonly file: FileHandle;
  /** Takes it back. */
  readonly remove: () => Promise<void>;
}

async function openPartial(real: string, existing: Stats | undefined): Promise<Unfinished> {
  const path = `${real}${PARTIAL_SUFFIX}`;
  await removeLeftover(path);
  const mode = (existing?.mode ?? 0o666) & 0o777;
  const file = await open(path, "wx", mode).catch((cause: unknown) => {
    if (errorCode(cause) === "ENOENT")
      throw new Failure(
        `can't write ${real}: there is no directory ${dirname(real)}: make it first`,
      );
    throw new Failure(`can't write ${path}: ${errorText(cause)}`, { cause });
  });
  const remove = async () => {
    try {
      await named(path, () => unlink(path));
    } finally {
      await file.close();
    }
  };
  try {
    await named(path, async () => lockPartial(file.fd));
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
  return { path, file, remove };
}

/** These are open already: what they lead to has no place of its own, or one that isn't asked for. */
const DESCRIPTOR = /^\/(dev\/(stdin|stdout|stderr|fd\/\d+)|proc\/(self|\d+)\/fd\/\d+)$/;

/** Where a file is, behind symbolic links, and what is there now. `real` is undefined for a device. */
async function lookAt(
  target: string,
): Promise<{ real: string | undefined; existing: Stats | undefined }> {
  const found = await stat(target).catch((error: unknown) => absent(error, target));
  if (found?.isDirectory()) throw new Failure(`${target} is a directory: name a file`);
  const isDevice = found !== undefined && !found.isFile();
  if (isDevice || DESCRIPTOR.test(resolve(target))) return { real: undefined, existing: undefined };
  return { real: await followLink(target), existing: found };
}

async function followLink(path: string): Promise<string> {
  const found = await lstat(path).catch((error: unknown) => absent(error, path));
  if (!found?.isSymbolicLink()) return path;
  return realpath(path).catch((error: unknown) => {
    const leads = errorCode(error) === "ELOOP" ? "to itself" : "to nothing that can be reached";
    throw new Failure(
      `${path} is a symbolic link that leads ${leads}: remove it, or name another file`,
    );
  });
}

function absent(error: unknown, target: string): undefined {
  // A link that leads to itself is told where links are followed.
  if (["ENOENT", "ELOOP"].includes(errorCode(error) ?? "")) return undefined;
  if (errorCode(error) === "ENAMETOOLONG") throw nameTooLong(target);
  throw new Failure(`can't write ${target}: ${errorText(error)}`);
}

function nameTooLong(path: string): Failure {
  const longest = LONGEST_NAME - PARTIAL_SUFFIX.length;
  return new Failure(
    `can't write ${basename(path, PARTIAL_SUFFIX)}: the name is too long; ${longest} bytes are the most, since the unfinished file has ${PARTIAL_SUFFIX} behind it`,
  );
}

async function named<T>(target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Failure(`can't write ${target}: ${errorText(cause)}`, { cause });
  }
}
