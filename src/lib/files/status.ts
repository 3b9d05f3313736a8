import { fstatSync, lstatSync, type Stats } from "node:fs";
import { libC, systemError } from "../libc.ts";

/** What a file is, as far as archives are concerned. */
export interface FileStatus {
  readonly type: "directory" | "file" | "other";
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, with a fraction. */
  readonly mtimeMs: number;
  /** By these two a file is known again; compare them with those of another FileStatus alone. */
  readonly dev: number;
  readonly ino: number;
}

// <linux/stat.h> and <linux/fcntl.h>; the same on every Linux architecture, as the layout is.
const STATX_BASIC_STATS = 0x7ff;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX = { mode: 28, ino: 32, size: 40, mtime: 112, devMajor: 136, devMinor: 140 };
const STATX_SIZE = 256;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

// <errno.h>; the same on every Linux architecture.
const EPERM = 1;

const PURPOSE = "archiving a directory";
const encoder = new TextEncoder();
/** More than a name in a directory has: 255 bytes. */
const nameBuffer = new Uint8Array(1024);
const statusBuffer = new DataView(new ArrayBuffer(STATX_SIZE));
const statusBytes = new Uint8Array(statusBuffer.buffer);

/**
 * What a name in an open directory stands for; a symbolic link is not followed. Half as dear as a look
 * by the directory's path below /proc, which the system walks through at each.
 *
 * @throws the system's error
 */
export function statusAt(directory: number, name: string): FileStatus {
  return look(directory, name) ?? statusFrom(lstatSync(`/proc/self/fd/${directory}/${name}`));
}

/** What is open. Throws the system's error. */
export function statusOf(fd: number): FileStatus {
  return look(fd, "") ?? statusFrom(fstatSync(fd));
}

/** Undefined where the system has no statx(2), or lets nobody call it. */
function look(fd: number, name: string): FileStatus | undefined {
  const { statx, errno } = libC(PURPOSE);
  if (statx === undefined) return undefined;
  const { read, written } = encoder.encodeInto(name, nameBuffer.subarray(0, -1));
  if (read < name.length) throw new Error(`${name} is too long for a name`);
  nameBuffer[written] = 0;
  const flags = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  if (statx(fd, nameBuffer, flags, STATX_BASIC_STATS, statusBytes) === 0) return statusNow();
  const code = errno();
  // No file is refused so, but by a sandbox that is older than the call: Docker's was, before 18.04.
  if (code === EPERM) return undefined;
  throw systemError("can't be looked at", code);
}

function statusNow(): FileStatus {
  return {
    type: typeOf(statusBuffer.getUint16(STATX.mode, true)),
    size: read64(STATX.size),
    mtimeMs: read64(STATX.mtime) * 1000 + statusBuffer.getUint32(STATX.mtime + 8, true) / 1e6,
    dev:
      statusBuffer.getUint32(STATX.devMajor, true) * 2 ** 32 +
      statusBuffer.getUint32(STATX.devMinor, true),
    ino: read64(STATX.ino),
  };
}

/** Exact below 2^53, as Node's are; signed, for times before 1970. */
function read64(at: number): number {
  return statusBuffer.getInt32(at + 4, true) * 2 ** 32 + statusBuffer.getUint32(at, true);
}

function typeOf(mode: number): FileStatus["type"] {
  const type = mode & S_IFMT;
  return type === S_IFDIR ? "directory" : type === S_IFREG ? "file" : "other";
}

function statusFrom({ mode, size, mtimeMs, dev, ino }: Stats): FileStatus {
  return { type: typeOf(mode), size, mtimeMs, dev, ino };
}
