import { type FileHandle, open, readdir } from "node:fs/promises";
import { errorCode, Failure } from "../lib/errors.ts";
import { SnapshotInvalid, SnapshotNotFound } from "./errors.ts";
import { descriptorPath, HOLD_DIRECTORY, withSnapshotRoot } from "./held.ts";
import { lockExclusive } from "./lock.ts";
import { type Contents, measureSnapshot } from "./measure.ts";
import { isSnapshotName, snapshotTime } from "./name.ts";
import { type Place, reasonText } from "./reason.ts";

/** A snapshot as it lies in the snapshot directory. */
export interface SnapshotInfo extends Contents {
  readonly name: string;
  /** When it was taken, by its name; undefined if the name doesn't tell. */
  readonly time: Date | undefined;
  /** Whether some process downloads it, leases it or removes it. */
  readonly inUse: boolean;
}

/**
 * Tells what lies in the snapshot directory, newest first; those whose name tells no time come last.
 * A snapshot directory that doesn't exist is an empty one. What isn't a directory with a snapshot's
 * name is left out, a symbolic link too.
 *
 * @throws Failure if the snapshot directory can't be read. What can't be read below counts as nothing.
 */
export async function listSnapshots(snapshotDir: string): Promise<SnapshotInfo[]> {
  const snapshots = await withSnapshotRoot(snapshotDir, async (root) => {
    const found: SnapshotInfo[] = [];
    for (const name of (await listNames(root)).filter(isSnapshotName)) {
      const info = await describe(root, name);
      if (info !== undefined) found.push(info);
    }
    return found.sort(newestFirst);
  });
  return snapshots ?? [];
}

async function listNames(root: Place): Promise<string[]> {
  try {
    return await readdir(root.path);
  } catch (error) {
    throw new Failure(`can't read the snapshot directory: ${reasonText(error, root)}`);
  }
}

function newestFirst(a: SnapshotInfo, b: SnapshotInfo): number {
  const [timeA, timeB] = [a.time?.getTime() ?? -Infinity, b.time?.getTime() ?? -Infinity];
  if (timeA !== timeB) return timeA > timeB ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

/** Undefined if it isn't a directory, or was removed meanwhile. */
async function describe(root: Place, name: string): Promise<SnapshotInfo | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(`${root.path}/${name}`, HOLD_DIRECTORY);
    const contents = await measureSnapshot(descriptorPath(handle.fd));
    // Last, since it also tells whether the snapshot is still there.
    const inUse = await isInUse(root, name);
    return { name, time: snapshotTime(name), inUse, ...contents };
  } catch (error) {
    if (error instanceof SnapshotNotFound || error instanceof SnapshotInvalid) return undefined;
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    // Nobody who can't read it could lock it either, but it is there.
    const nothing = { blocks: 0, bytes: 0, minTime: undefined, maxTime: undefined };
    return { name, time: snapshotTime(name), inUse: false, ...nothing };
  } finally {
    await handle?.close();
  }
}

async function isInUse(root: Place, name: string): Promise<boolean> {
  const lock = await lockExclusive(root.path, name);
  lock?.release();
  return lock === undefined;
}
