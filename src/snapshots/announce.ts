import { constants } from "node:fs";
import { errorCode } from "../lib/errors.ts";
import { rootFailure } from "./held.ts";
import { repeat, type SnapshotLock, tryLockDirectory } from "./lock.ts";

/*
 * While Prometheus writes a snapshot, its directory exists but nobody can hold a lease on it yet: its
 * name isn't known. Were it removed then, Prometheus would make it anew for the blocks that are still
 * to come, and answer success for half a snapshot. So whoever asks Prometheus for one holds a shared
 * lock on the snapshot directory itself until the lease is granted, and prune spares young snapshots
 * while somebody does. (Prometheus makes the directory of a block with all its parents: tsdb/block.go,
 * `Block.Snapshot`.) The very first snapshot goes without: the snapshot directory that it is made in
 * doesn't exist yet, so it can't be locked.
 */

const FOLLOW = constants.O_RDONLY | constants.O_DIRECTORY;
/** Long enough for the instants in which prunes ask. */
const ANNOUNCE_ATTEMPTS = { count: 50, pauseMs: 5 };
/** Long enough for the instant of another prune, short enough to hold a snapshot's lock meanwhile. */
const ASK_ATTEMPTS = { count: 4, pauseMs: 3 };

/**
 * Tells every process that a snapshot is being created, until the lock is released.
 *
 * @returns undefined if there is no snapshot directory, or somebody holds it exclusively all the time
 *   (then prune takes that for an announcement)
 */
export async function announceCreation(snapshotDir: string): Promise<SnapshotLock | undefined> {
  return repeat(ANNOUNCE_ATTEMPTS, () => tryLockRoot(snapshotDir, "shared"));
}

/**
 * Whether somebody, in any process, has a snapshot created at this time. Only what was locked before
 * is safe to remove after a no: a creation that is under way can't end before its lease is granted,
 * and one that begins later makes another name.
 */
export async function creationUnderWay(snapshotDir: string): Promise<boolean> {
  const lock = await repeat(ASK_ATTEMPTS, () => tryLockRoot(snapshotDir, "exclusive"));
  lock?.release();
  return lock === undefined;
}

function tryLockRoot(snapshotDir: string, kind: "shared" | "exclusive"): SnapshotLock | undefined {
  try {
    return tryLockDirectory(snapshotDir, kind, FOLLOW);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw errorCode(error) === undefined ? error : rootFailure(error, snapshotDir);
  }
}
