import {
  accessSync,
  constants,
  type Dirent,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import { snapshotTime } from "../snapshots/name.ts";
import { type BlockMeta, isUlid, parseBlockMeta } from "../tsdb/meta.ts";
import { remedy } from "./failed.ts";
import { isOurs, isStagingBeside } from "./names.ts";

/** A block that lies in the target. */
export interface ExistingBlock {
  /** The name of its directory. */
  readonly block: string;
  /** Undefined if Prometheus would not read it. */
  readonly meta: BlockMeta | undefined;
  /** The sizes of its files, by their paths below the block's directory. */
  readonly files: ReadonlyMap<string, number>;
  readonly bytes: number;
}

/** The target of a restore, as it was found. */
export interface DataDir {
  /** Absolute, and no part of it a symbolic link. */
  readonly path: string;
  readonly exists: boolean;
  /** Whether there is nothing in it at all, or no directory. */
  readonly empty: boolean;
  /** What it holds, but for what file systems, locks and prombackup leave there. */
  readonly entries: readonly string[];
  readonly blocks: readonly ExistingBlock[];
  /** Samples that are in no block yet wait there. */
  readonly hasWal: boolean;
  /** Where it holds no samples itself: a directory in it that does. */
  readonly within: string | undefined;
  /** Whether it can be exchanged for another one: not if it is a mount point. */
  readonly renamable: boolean;
  /** Its own, or its parent's if it doesn't exist. */
  readonly stats: Stats;
}

/** What holds nothing of anybody's: the file system's own, and the lock of a Prometheus that was killed. */
const NOTHING = new Set(["lost+found", "lock"]);

/**
 * Looks at a data directory; changes nothing.
 *
 * @throws Failure if neither it nor its parent is a directory that can be read
 */
export function examineDataDir(given: string): DataDir {
  const { path, exists } = locate(given);
  const stats = statSync(exists ? path : dirname(path));
  const all = exists ? list(path) : [];
  const entries = all.filter((name) => !NOTHING.has(name) && !isOurs(name));
  const blocks = entries.filter((name) => isUlid(name)).map((name) => examineBlock(path, name));
  const hasWal = isWithWal(path);
  return {
    path,
    exists,
    empty: all.length === 0,
    entries,
    blocks,
    hasWal,
    within: hasWal || blocks.length > 0 ? undefined : dataDirWithin(path, entries),
    renamable: isRenamable(path, exists),
    stats,
  };
}

function isWithWal(path: string): boolean {
  return statSync(join(path, "wal"), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Debian has its data in /var/lib/prometheus/metrics2: its parent is soon given by mistake. */
function dataDirWithin(path: string, entries: readonly string[]): string | undefined {
  // In this order it comes before what restores kept of it, which has its name and more.
  const name = entries.toSorted().find((entry) => {
    try {
      return isWithWal(join(path, entry)) || holdsBlocks(path, entry);
    } catch {
      // A file, or a directory that can't be looked into: then it isn't known to be one.
      return false;
    }
  });
  return name === undefined ? undefined : join(path, name);
}

/** As a data directory does after a restore: Prometheus makes the rest as it starts. */
function holdsBlocks(path: string, name: string): boolean {
  if (isStagingBeside(name) || snapshotTime(name) !== undefined) return false;
  return readdirSync(join(path, name)).some(isUlid);
}

/** Room for what {@link ./names.ts} adds to a name, in a file system that allows 255 bytes. */
const MAX_NAME_BYTES = 255 - ".before-restore-20261125T024506Z-99".length;

function locate(given: string): { path: string; exists: boolean } {
  requireUtf8(given);
  const found = resolveDirectory(resolve(given));
  if (Buffer.byteLength(basename(found.path)) > MAX_NAME_BYTES) {
    throw new Failure(
      `${found.path} has a name of more than ${MAX_NAME_BYTES} bytes, so no directory can be named after it beside it: give it a shorter one`,
    );
  }
  return found;
}

/** What isn't UTF-8 arrives with this mark in its place, and would be another directory. */
function requireUtf8(path: string): void {
  if (!path.includes("\ufffd")) return;
  throw new Failure(`${path} has a name that isn't UTF-8, and can't be reached: rename it`);
}

function resolveDirectory(path: string): { path: string; exists: boolean } {
  try {
    const real = realpathSync(path);
    requireUtf8(real);
    if (!statSync(real).isDirectory()) throw new Failure(`${real} is not a directory`);
    return { path: real, exists: true };
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw cannotRead(path, error);
  }
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    throw new Failure(
      `${path} is a symbolic link that leads nowhere: make its target, or remove it`,
    );
  }
  try {
    return { path: join(realpathSync(dirname(path)), basename(path)), exists: false };
  } catch (error) {
    throw new Failure(
      `neither ${path} nor its parent can be found: ${errorText(error)}: check --data-dir`,
    );
  }
}

function list(path: string): string[] {
  return listEntries(path).map(({ name }) => name);
}

/** @throws Failure if it can't be read */
export function listEntries(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(`${path} can't be read: ${errorText(error)}: ${remedy(error)}`);
}

function examineBlock(dataDir: string, name: string): ExistingBlock {
  const path = join(dataDir, name);
  const files = new Map(filesOf(path, ""));
  const bytes = [...files.values()].reduce((sum, size) => sum + size, 0);
  return { block: name, meta: readMeta(path), files, bytes };
}

function readMeta(block: string): BlockMeta | undefined {
  try {
    return parseBlockMeta(readFileSync(join(block, "meta.json"), "utf8"));
  } catch {
    // Prometheus can't read it either, and leaves the block out.
    return undefined;
  }
}

function* filesOf(block: string, below: string): Generator<[string, number]> {
  const stats = lstatSync(join(block, below), { throwIfNoEntry: false });
  if (stats?.isFile()) yield [below, stats.size];
  if (!stats?.isDirectory()) return;
  for (const name of list(join(block, below))) yield* filesOf(block, join(below, name));
}

function isRenamable(path: string, exists: boolean): boolean {
  if (exists && mountPoints().has(path)) return false;
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Also of mounts that a comparison of devices doesn't show: bind mounts of the same file system. */
function mountPoints(): Set<string> {
  try {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").trimEnd().split("\n");
    return new Set(lines.map((line) => unescapeOctal(line.split(" ")[4] ?? "")));
  } catch {
    return new Set();
  }
}

/** The kernel writes blanks and backslashes in names as `\040` and the like. */
function unescapeOctal(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
}
