import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { errorCode, Failure } from "../lib/errors.ts";
import { type LockKind, tryFlock, unlockFlock } from "../lib/files/flock.ts";
import { SnapshotInUse, SnapshotInvalid, SnapshotNotFound } from "./errors.ts";
import { descriptorPath, HOLD_DIRECTORY, rootFailure } from "./held.ts";
import { checkSnapshotName } from "./name.ts";
import { reasonText } from "./reason.ts";

/*
 * Who uses a snapshot holds flock(2) on the snapshot's own directory: shared for a download or a
 * lease, exclusive to remove it. That works between processes (two servers, the command line), ends
 * with the process that held it, and writes nothing.
 *
 * Whether a lock is held can only be asked by trying to take it. (/proc/locks would tell without
 * that, but it hides the processes of other PID namespaces, so a lock held in another container, and
 * it is gone under systemd's ProcSubset=pid.) So a lister holds the exclusive lock for the instant
 * between two system calls, and everybody else tries again for a while before taking no for an answer.
 */

/** A snapshot that nobody else removes (shared) or uses (exclusive) until it is released. */
export interface SnapshotLock {
  /** The way to the locked directory, whatever its name comes to mean meanwhile. */
  readonly path: string;
  /** Ends the lock; the path is void from here on. Twice is fine. */
  release(): void;
}

/** How long a shared lock is tried for: who holds the exclusive one either leaves or renames. */
const SHARED_ATTEMPTS = { count: 100, pauseMs: 10 };
/** Long enough for the instant of a lister, short enough to answer "in use" at once. */
const EXCLUSIVE_ATTEMPTS = { count: 4, pauseMs: 5 };

/**
 * Locks a snapshot for reading. Waits up to a second for somebody who holds it exclusively.
 *
 * @throws SnapshotNotFound, SnapshotInvalid (not a directory), SnapshotInUse (locked exclusively for
 *   longer than that), InvalidSnapshotName, Failure
 */
export async function lockShared(snapshotDir: string, name: string): Promise<SnapshotLock> {
  const lock = await repeat(SHARED_ATTEMPTS, () => tryLock(snapshotDir, name, "shared"));
  if (lock === undefined) throw new SnapshotInUse(name);
  return lock;
}

/**
 * Locks a snapshot for its removal; waits some milliseconds for a lister to look away.
 *
 * @returns undefined if somebody uses it
 * @throws as {@link lockShared}, but for SnapshotInUse
 */
export async function lockExclusive(
  snapshotDir: string,
  name: string,
): Promise<SnapshotLock | undefined> {
  return repeat(EXCLUSIVE_ATTEMPTS, () => tryLock(snapshotDir, name, "exclusive"));
}

/** As {@link lockExclusive} with a single attempt. */
export function tryLockExclusive(snapshotDir: string, name: string): SnapshotLock | undefined {
  return tryLock(snapshotDir, name, "exclusive");
}

/** As {@link lockShared} with a single attempt: undefined if it is locked exclusively. */
export function tryLockShared(snapshotDir: string, name: string): SnapshotLock | undefined {
  return tryLock(snapshotDir, name, "shared");
}

function tryLock(snapshotDir: string, name: string, kind: LockKind): SnapshotLock | undefined {
  checkSnapshotName(name);
  const path = `${snapshotDir}/${name}`;
  try {
    return tryLockDirectory(path, kind, HOLD_DIRECTORY);
  } catch (error) {
    switch (errorCode(error)) {
      case "ENOENT":
      case "ENAMETOOLONG":
        throw new SnapshotNotFound(name);
      case "ENOTDIR":
      case "ELOOP":
        requireDirectory(snapshotDir);
        throw new SnapshotInvalid(name);
      case undefined:
        throw error;
    }
    throw new Failure(`can't open snapshot ${name}: ${reasonText(error, { path, shown: name })}`);
  }
}

/** The system's errors don't tell which part of a path is no directory. */
function requireDirectory(snapshotDir: string): void {
  try {
    closeSync(openSync(snapshotDir, constants.O_RDONLY | constants.O_DIRECTORY));
  } catch (error) {
    throw rootFailure(error, snapshotDir);
  }
}

/**
 * Locks any directory, with one attempt.
 *
 * @param flags how to open it: {@link HOLD_DIRECTORY}, or without O_NOFOLLOW
 * @returns undefined if another lock excludes this one
 * @throws the system's error; ENOENT also if the path names something else by now
 */
export function tryLockDirectory(
  path: string,
  kind: LockKind,
  flags: number,
): SnapshotLock | undefined {
  let fd: number | undefined = openSync(path, flags);
  const release = () => {
    if (fd === undefined) return;
    unlockFlock(fd);
    closeSync(fd);
    fd = undefined;
  };
  try {
    if (!tryFlock(fd, kind)) {
      release();
      return undefined;
    }
    // Between the opening and the lock, somebody who held it may have renamed the directory away.
    if ((flags & constants.O_NOFOLLOW) !== 0 && !isOpenOn(fd, path)) {
      throw Object.assign(new Error(`${path} was renamed`), { code: "ENOENT" });
    }
    return { path: descriptorPath(fd), release };
  } catch (error) {
    release();
    throw error;
  }
}

function isOpenOn(fd: number, path: string): boolean {
  const named = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  const held = fstatSync(fd, { bigint: true });
  return named !== undefined && named.ino === held.ino && named.dev === held.dev;
}

/** Tries until there is a lock, at most `count` times. */
export async function repeat<T>(
  attempts: { readonly count: number; readonly pauseMs: number },
  attempt: () => T | undefined,
): Promise<T | undefined> {
  for (let left = attempts.count; ; left--) {
    const result = attempt();
    if (result !== undefined || left <= 1) return result;
    await pause(attempts.pauseMs);
  }
}
