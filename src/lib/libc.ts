import { dlopen, FFIType, read } from "bun:ffi";
import { getSystemErrorMap, getSystemErrorName } from "node:util";
import { Failure } from "./errors.ts";

/**
 * Where the system's functions live, in glibc by this very name. musl's loader takes each name that
 * starts with `libc.` for itself (ldso/dynlink.c, `reserved`), so it is found there too.
 */
const LIBRARY = "libc.so.6";

/** Functions of the system that Node's API lacks. Each answers -1 if it failed. */
export interface LibC {
  /** flock(2). */
  flock(fd: number, operation: number): number;
  /** connect(2). */
  connect(fd: number, address: Uint8Array, length: number): number;
  /** statx(2); undefined where the library or the system is older than that: glibc before 2.28. */
  readonly statx: StatX | undefined;
  /** renameat2(2); undefined where the library is older than that: glibc before 2.28. */
  readonly renameat2: RenameAt2 | undefined;
  /** Why the call before this one failed. */
  errno(): number;
}

type StatX = (
  directory: number,
  path: Uint8Array,
  flags: number,
  mask: number,
  into: Uint8Array,
) => number;

type RenameAt2 = (
  oldDirectory: number,
  oldPath: Uint8Array,
  newDirectory: number,
  newPath: Uint8Array,
  flags: number,
) => number;

let opened: LibC | undefined;

/**
 * Opened at the first use and not before: a program that needs none of it runs on any system.
 *
 * @param purpose what it is needed for, for the message where there is no such library
 * @throws Failure on another system than Linux
 */
export function libC(purpose: string): LibC {
  if (process.platform !== "linux") {
    throw new Failure(`${purpose} works on Linux alone, not on ${process.platform}`);
  }
  opened ??= openLibC();
  return opened;
}

/** What the system calls an error: `Permission denied (EACCES)`. */
export function errnoText(errno: number): string {
  const [name, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, "unknown error"];
  return `${text} (${name})`;
}

/** An error as Node's own calls throw them, with the system's code. */
export function systemError(text: string, errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${text}: ${errnoText(errno)}`), { code, errno: -errno });
}

function openLibC(): LibC {
  const { symbols } = dlopen(LIBRARY, {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    __errno_location: { args: [], returns: FFIType.ptr },
  });
  // The address is fixed for a thread. Asked for ahead, so that nothing runs between a failed call
  // and the reading of its errno.
  const errno = symbols.__errno_location();
  if (typeof errno !== "number") throw new Failure(`${LIBRARY} has no errno`);
  const { flock, connect } = symbols;
  return {
    flock,
    connect,
    statx: openStatX(),
    renameat2: openRenameAt2(),
    errno: () => read.i32(errno, 0),
  };
}

function openRenameAt2(): RenameAt2 | undefined {
  const { i32, u32, ptr } = FFIType;
  try {
    return dlopen(LIBRARY, { renameat2: { args: [i32, ptr, i32, ptr, u32], returns: i32 } }).symbols
      .renameat2;
  } catch {
    return undefined;
  }
}

function openStatX(): StatX | undefined {
  const { i32, u32, ptr } = FFIType;
  try {
    return dlopen(LIBRARY, { statx: { args: [i32, ptr, i32, u32, ptr], returns: i32 } }).symbols
      .statx;
  } catch {
    return undefined;
  }
}
