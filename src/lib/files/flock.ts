import { Failure } from "../errors.ts";
import { errnoText, libC } from "../libc.ts";

/** `shared`: beside other shared locks. `exclusive`: alone. */
export type LockKind = "shared" | "exclusive";

// <sys/file.h>; the same on every Linux architecture.
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** <errno.h>: somebody else holds the lock. The same on every architecture that Bun runs on. */
const EWOULDBLOCK = 11;

const PURPOSE = "locking files";

/**
 * Takes a lock on an open file or directory, without waiting: flock(2), Linux alone.
 *
 * The lock belongs to the open descriptor, so two descriptors of one process exclude each other as
 * two processes do. It ends when the descriptor is closed, at the latest with the process however
 * that ends. It writes nothing to the file. Never call it twice for one descriptor: flock(2) would
 * convert the lock, and lose it on the way.
 *
 * @returns false if another descriptor holds a lock that excludes this one
 * @throws Failure with the system's own words for any other reason (no locks left, a network file
 *   system that has none), or on a system without flock(2)
 */
export function tryFlock(fd: number, kind: LockKind): boolean {
  const { flock, errno } = libC(PURPOSE);
  if (flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
  const code = errno();
  if (code === EWOULDBLOCK) return false;
  throw new Failure(`flock failed: ${errnoText(code)}`);
}

/**
 * Ends a lock before its descriptor is closed. Closing alone would do, but for a moment after a child
 * process was started the child still holds a copy of each descriptor, and the lock with it.
 */
export function unlockFlock(fd: number): void {
  if (process.platform === "linux") libC(PURPOSE).flock(fd, LOCK_UN);
}
