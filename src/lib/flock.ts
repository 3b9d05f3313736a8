import { dlopen, FFIType, read } from "bun:ffi";
import { getSystemErrorMap } from "node:util";
import { Failure } from "./errors.ts";

/** `shared`: beside other shared locks. `exclusive`: alone. */
export type LockKind = "shared" | "exclusive";

// <sys/file.h>; the same on every Linux architecture.
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** <errno.h>: somebody else holds the lock. The same on every architecture that Bun runs on. */
const EWOULDBLOCK = 11;

/**
 * Where flock(2) lives, in glibc by this very name. musl's loader takes each name that starts with
 * `libc.` for itself (ldso/dynlink.c, `reserved`), so it is found there too.
 */
const LIBRARY = "libc.so.6";

interface LibC {
  flock(fd: number, operation: number): number;
  errno(): number;
}

let libc: LibC | undefined;

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
  libc ??= openLibC();
  if (libc.flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
  const code = libc.errno();
  if (code === EWOULDBLOCK) return false;
  const [name, text] = getSystemErrorMap().get(-code) ?? [`errno ${code}`, "unknown error"];
  throw new Failure(`flock failed: ${text} (${name})`);
}

/**
 * Ends a lock before its descriptor is closed. Closing alone would do, but for a moment after a child
 * process was started the child still holds a copy of each descriptor, and the lock with it.
 */
export function unlockFlock(fd: number): void {
  libc?.flock(fd, LOCK_UN);
}

/** Opened at the first lock and not before: a program that locks nothing runs on any system. */
function openLibC(): LibC {
  if (process.platform !== "linux") {
    throw new Failure(`locking snapshots works on Linux alone, not on ${process.platform}`);
  }
  const { symbols } = dlopen(LIBRARY, {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    __errno_location: { args: [], returns: FFIType.ptr },
  });
  // The address is fixed for a thread. Asked for ahead, so that nothing runs between a failed call
  // and the reading of its errno.
  const errno = symbols.__errno_location();
  if (typeof errno !== "number") throw new Failure(`${LIBRARY} has no errno`);
  return { flock: symbols.flock, errno: () => read.i32(errno, 0) };
}
