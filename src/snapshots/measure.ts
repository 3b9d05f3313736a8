import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import { slices } from "../lib/slices.ts";
import { type BlockMeta, isUlid, MAX_META_BYTES, parseBlockMeta } from "../tsdb/meta.ts";
import { descriptorPath, HOLD_DIRECTORY } from "./held.ts";

/** What a snapshot's directory holds. */
export interface Contents {
  /** Directories that are named as blocks, readable or not. */
  readonly blocks: number;
  /** The lengths of all files; on the disk most of it is shared with Prometheus's live blocks. */
  readonly bytes: number;
  /** Of the data, in milliseconds since 1970; undefined if no block tells it. */
  readonly minTime: number | undefined;
  /** The first millisecond after the data. */
  readonly maxTime: number | undefined;
}

/** No pipe in place of a regular file must keep the opening waiting. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Measures a snapshot, following no symbolic link. What can't be read counts as nothing: one bad
 * block must not hide the others.
 *
 * @param directory the path of a held directory
 */
export async function measureSnapshot(directory: string): Promise<Contents> {
  const metas: BlockMeta[] = [];
  let blocks = 0;
  const pause = slices();
  const bytes = await sizeOf(directory, pause, (path, name) => {
    if (!isUlid(name)) return;
    blocks++;
    const meta = path === undefined ? undefined : readMeta(path);
    if (meta !== undefined) metas.push(meta);
  });
  return {
    blocks,
    bytes,
    minTime: extreme(metas, (meta) => meta.minTime, Math.min),
    maxTime: extreme(metas, (meta) => meta.maxTime, Math.max),
  };
}

/**
 * @param visit gets each directory directly within: its name and, if it can be opened, the path that
 *   it is held by
 * @returns the bytes of all files below
 */
async function sizeOf(
  directory: string,
  pause: () => Promise<void> | undefined,
  visit?: (path: string | undefined, name: string) => void,
): Promise<number> {
  let bytes = 0;
  for (const entry of listEntries(directory)) {
    await pause();
    const path = `${directory}/${entry.name}`;
    if (entry.isFile()) bytes += fileSize(path);
    if (!entry.isDirectory()) continue;
    const fd = tryOpen(path, HOLD_DIRECTORY);
    try {
      const held = fd === undefined ? undefined : descriptorPath(fd);
      visit?.(held, entry.name);
      if (held !== undefined) bytes += await sizeOf(held, pause);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
  return bytes;
}

function listEntries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

function fileSize(path: string): number {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}

function tryOpen(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch {
    return undefined;
  }
}

/**
 * What a held block's meta.json says, following no symbolic link.
 *
 * @returns undefined if it can't be read, or isn't one
 */
export function readMeta(block: string): BlockMeta | undefined {
  const fd = tryOpen(`${block}/meta.json`, READ_FILE);
  if (fd === undefined) return undefined;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > MAX_META_BYTES) return undefined;
    return parseBlockMeta(readFileSync(fd, "utf8"));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function extreme(
  metas: readonly BlockMeta[],
  time: (meta: BlockMeta) => number,
  better: (a: number, b: number) => number,
): number | undefined {
  return metas
    .map(time)
    .reduce<number | undefined>(
      (best, value) => (best === undefined ? value : better(best, value)),
      undefined,
    );
}
