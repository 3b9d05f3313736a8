import { randomBytes } from "node:crypto";
import { accessSync, constants, renameSync } from "node:fs";
import { readdir, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import { deleteContents } from "./delete-tree.ts";
import { SnapshotInUse, SnapshotNotFound } from "./errors.ts";
import { HOLD_DIRECTORY, withSnapshotRoot } from "./held.ts";
import { lockExclusive, type SnapshotLock, tryLockDirectory } from "./lock.ts";
import { checkSnapshotName } from "./name.ts";
import { type Place, reasonText } from "./reason.ts";

/*
 * A removal: (1) the exclusive lock; (2) the snapshot is renamed, so that nobody finds half of it
 * under its name; (3) its files go; (4) the renamed directory goes. The lock is held to the end. A
 * crash after (2) leaves the renamed directory, which the next sweep deletes.
 */

/** No snapshot's name: those begin with a letter or a digit. */
const LEFTOVER_PREFIX = ".prombackup-deleting-";
/** A name takes 255 bytes at most; this leaves room for the prefix and a suffix. */
const LEFTOVER_NAME_LENGTH = 200;

/**
 * Removes a snapshot for good, with everything in it.
 *
 * @throws SnapshotNotFound (also if somebody else removed it first), SnapshotInvalid, SnapshotInUse,
 *   InvalidSnapshotName; Failure `can't remove NAME: …` with the reason
 */
export async function removeSnapshot(snapshotDir: string, name: string): Promise<void> {
  checkSnapshotName(name);
  const done = await withSnapshotRoot(snapshotDir, async (root) => {
    const lock = await lockExclusive(root.path, name);
    if (lock === undefined) throw new SnapshotInUse(name);
    await removeLocked(root, name, lock);
    return true;
  });
  if (done === undefined) throw new SnapshotNotFound(name);
}

/**
 * Removes a snapshot that is locked exclusively, and releases the lock in any case.
 *
 * @throws SnapshotNotFound, Failure
 */
export async function removeLocked(root: Place, name: string, lock: SnapshotLock): Promise<void> {
  try {
    const leftover = renameAway(root, name, lock);
    await finishRemoval(root, leftover, lock);
  } catch (error) {
    if (error instanceof SnapshotNotFound) throw error;
    throw new Failure(`can't remove ${name}: ${errorText(error)}`);
  } finally {
    lock.release();
  }
}

/** Synchronous, so that the exclusive lock keeps others waiting no longer than it must. */
function renameAway(root: Place, name: string, lock: SnapshotLock): string {
  const shown = join(root.shown, name);
  try {
    // A snapshot whose files can't be deleted is better left where it is than renamed for nothing.
    accessSync(lock.path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Failure(reasonText(error, { path: lock.path, shown }));
  }
  for (let attempt = 0; ; attempt++) {
    const leftover = leftoverName(name, attempt);
    try {
      renameSync(`${root.path}/${name}`, `${root.path}/${leftover}`);
      return leftover;
    } catch (error) {
      if (errorCode(error) === "ENOENT") throw new SnapshotNotFound(name);
      // The leftover of an earlier removal, or whatever else has that name.
      const taken = ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(errorCode(error) ?? "");
      if (!taken || attempt >= 3) throw new Failure(reasonText(error, root));
    }
  }
}

function leftoverName(name: string, attempt: number): string {
  const plain = name.replace(/[^\x21-\x7e]/g, "_").slice(0, LEFTOVER_NAME_LENGTH);
  const suffix = attempt === 0 ? "" : `.${randomBytes(8).toString("hex")}`;
  return `${LEFTOVER_PREFIX}${plain}${suffix}`;
}

async function finishRemoval(root: Place, leftover: string, lock: SnapshotLock): Promise<void> {
  const shown = join(root.shown, leftover);
  const { dev } = await stat(lock.path);
  await deleteContents({ path: lock.path, shown }, dev);
  try {
    await rmdir(`${root.path}/${leftover}`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw new Failure(reasonText(error, root));
  }
}

/** What a sweep did: names of leftover directories, as they lie in the snapshot directory. */
export interface SweepResult {
  readonly swept: readonly string[];
  readonly failed: readonly { readonly name: string; readonly error: Failure }[];
}

/** Whether a directory of this name is what an interrupted, or a running, removal left. */
export function isLeftover(name: string): boolean {
  return name.startsWith(LEFTOVER_PREFIX);
}

/**
 * Finishes the removals that a crash or an error interrupted. One that another living process is
 * still at holds its lock, and is left to it.
 *
 * @returns the names of the directories that are gone now
 * @throws Failure for the first that couldn't be deleted, after all were tried
 */
export async function sweepLeftovers(snapshotDir: string): Promise<string[]> {
  const result = await withSnapshotRoot(snapshotDir, async (root) =>
    sweep(root, await readdir(root.path)),
  );
  const [failure] = result?.failed ?? [];
  if (failure !== undefined) throw failure.error;
  return [...(result?.swept ?? [])];
}

/** As {@link sweepLeftovers}, among these names of the held snapshot directory; doesn't throw. */
export async function sweep(root: Place, names: readonly string[]): Promise<SweepResult> {
  const swept: string[] = [];
  const failed: { name: string; error: Failure }[] = [];
  for (const name of names.filter(isLeftover)) {
    try {
      if (await sweepOne(root, name)) swept.push(name);
    } catch (error) {
      failed.push({ name, error: new Failure(`can't remove ${name}: ${errorText(error)}`) });
    }
  }
  return { swept, failed };
}

/** @returns false if somebody is at it, or it isn't a directory, or it is gone */
async function sweepOne(root: Place, leftover: string): Promise<boolean> {
  let lock: SnapshotLock | undefined;
  try {
    lock = tryLockDirectory(`${root.path}/${leftover}`, "exclusive", HOLD_DIRECTORY);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errorCode(error) ?? "")) return false;
    throw new Failure(reasonText(error, { path: root.path, shown: root.shown }));
  }
  if (lock === undefined) return false;
  try {
    await finishRemoval(root, leftover, lock);
    return true;
  } finally {
    lock.release();
  }
}
