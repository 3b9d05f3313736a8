import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { errorCode, Failure } from "../lib/errors.ts";
import { tryFlock } from "../lib/files/flock.ts";
import { descriptorPath, HOLD_DIRECTORY } from "../snapshots/held.ts";
import { type DataDir, listEntries } from "./data-dir.ts";
import { reason, remedy } from "./failed.ts";

const LOCK_FILE =
  constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Prometheus's own lock on a data directory, held in its place. */
export interface DataDirLock {
  release(): void;
}

/**
 * Takes the lock that Prometheus takes: flock(2) on DIR/lock. That the file exists proves nothing; and
 * that the lock is free proves as little where Prometheus runs without it, as Debian's does. An empty
 * directory stays empty: whoever starts there will be noticed.
 *
 * @returns undefined if somebody holds it
 */
export function lockDataDir({ path, empty, stats }: DataDir): DataDirLock | undefined {
  if (empty) return { release: () => {} };
  // Held, since the directory may have another name when the lock is released.
  const directory = openSync(path, HOLD_DIRECTORY);
  const file = `${descriptorPath(directory)}/lock`;
  const existed = existsSync(file);
  try {
    const fd = openSync(file, LOCK_FILE, 0o644);
    // Should it stay because this process is killed, Prometheus must be able to open it.
    if (!existed) fchownSync(fd, stats.uid, stats.gid);
    if (tryFlock(fd, "exclusive")) {
      return {
        release: () => {
          if (!existed) unlinkSync(file);
          closeSync(fd);
          closeSync(directory);
        },
      };
    }
    closeSync(fd);
  } catch (error) {
    if (!existed) rmSync(file, { force: true });
    closeSync(directory);
    throw new Failure(`can't lock ${path}/lock: ${reason(error)}: ${remedy(error)}`);
  }
  closeSync(directory);
  return undefined;
}

/** Who uses a data directory: processes, or one that doesn't show but holds the lock. */
export function usersOf(target: DataDir): string[] {
  const users = findUsers(target);
  if (users.length > 0 || !existsSync(join(target.path, "lock"))) return users;
  const lock = lockDataDir(target);
  lock?.release();
  return lock === undefined ? [`somebody holds the lock ${join(target.path, "lock")}`] : [];
}

/**
 * The processes that have files of a data directory open, other than those of its snapshots, as
 * `PROCESS (PID) has FILE open`. Files are known by path, and by device and inode for a process in a
 * container, which has another path to them. Needs the right to look at that process: root's, or its
 * own user's.
 */
export function findUsers({ path, exists }: DataDir): string[] {
  if (!exists) return [];
  const inodes = inodesOf(path);
  return listProcesses().flatMap((pid) => {
    const file = openFileOf(pid, path, inodes);
    return file === undefined ? [] : [`${nameOf(pid)} (process ${pid}) has ${file} open`];
  });
}

function listProcesses(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
}

/** The names of a data directory's files by their device and inode. */
function inodesOf(dataDir: string): Map<string, string> {
  const inodes = new Map<string, string>();
  const add = (path: string, depth: number) => {
    for (const entry of listEntries(path)) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) {
        if (depth < 3 && entry.name !== "snapshots") add(child, depth + 1);
      } else if (entry.isFile()) inodes.set(key(lstatSync(child)), child);
    }
  };
  add(dataDir, 1);
  return inodes;
}

function key({ dev, ino }: { dev: number; ino: number }): string {
  return `${dev}:${ino}`;
}

function openFileOf(
  pid: string,
  dataDir: string,
  inodes: ReadonlyMap<string, string>,
): string | undefined {
  const directory = `/proc/${pid}/fd`;
  for (const fd of ignoringGone(() => readdirSync(directory)) ?? []) {
    const target = ignoringGone(() => readlinkSync(`${directory}/${fd}`));
    // Sockets, pipes and the like aren't files. A snapshot's are hard links to those of the blocks.
    if (!target?.startsWith("/") || target.startsWith(`${dataDir}/snapshots/`)) continue;
    if (target.startsWith(`${dataDir}/`)) return target;
    const stats = ignoringGone(() => statSync(`${directory}/${fd}`));
    const known = stats?.isFile() ? inodes.get(key(stats)) : undefined;
    if (known !== undefined) return known;
  }
  return undefined;
}

function nameOf(pid: string): string {
  return ignoringGone(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim()) ?? "a process";
}

/** Processes and their files come and go; those of other users don't show. */
function ignoringGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
