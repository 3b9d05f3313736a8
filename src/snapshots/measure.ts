import { constants, type Dirent } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
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

/** Enough to keep a disk busy without making thousands of promises at once. */
const STATS_AT_ONCE = 64;

/** No regular file, but a pipe, must keep the opening waiting. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Measures a snapshot, following no symbolic link. What can't be read counts as nothing: one bad
 * block must not hide the others.
 *
 * @param directory the path of a held directory
 */
export async function measureSnapshot(directory: string): Promise<Contents> {
  const entries = await listEntries(directory);
  const metas: BlockMeta[] = [];
  let blocks = 0;
  let bytes = await sizeOfFiles(directory, entries);
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    if (isUlid(name)) blocks++;
    await hold(`${directory}/${name}`, async (path) => {
      bytes += await sizeBelow(path);
      const meta = isUlid(name) ? await readMeta(path) : undefined;
      if (meta !== undefined) metas.push(meta);
    });
  }
  return {
    blocks,
    bytes,
    minTime: extreme(metas, (meta) => meta.minTime, Math.min),
    maxTime: extreme(metas, (meta) => meta.maxTime, Math.max),
  };
}

async function sizeBelow(directory: string): Promise<number> {
  const entries = await listEntries(directory);
  let bytes = await sizeOfFiles(directory, entries);
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    await hold(`${directory}/${name}`, async (path) => {
      bytes += await sizeBelow(path);
    });
  }
  return bytes;
}

async function sizeOfFiles(directory: string, entries: readonly Dirent[]): Promise<number> {
  const files = entries.filter((entry) => entry.isFile());
  let bytes = 0;
  for (let start = 0; start < files.length; start += STATS_AT_ONCE) {
    const batch = files.slice(start, start + STATS_AT_ONCE);
    const sizes = await Promise.all(batch.map(({ name }) => sizeOf(`${directory}/${name}`)));
    for (const size of sizes) bytes += size;
  }
  return bytes;
}

async function listEntries(directory: string): Promise<Dirent[]> {
  return readdir(directory, { withFileTypes: true }).catch(() => []);
}

async function sizeOf(path: string): Promise<number> {
  return lstat(path).then(
    (stat) => stat.size,
    () => 0,
  );
}

/** Skips a directory that can't be opened. */
async function hold(path: string, use: (path: string) => Promise<void>): Promise<void> {
  const handle = await open(path, HOLD_DIRECTORY).catch(() => undefined);
  if (handle === undefined) return;
  try {
    await use(descriptorPath(handle.fd));
  } finally {
    await handle.close();
  }
}

async function readMeta(block: string): Promise<BlockMeta | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(`${block}/meta.json`, READ_FILE);
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > MAX_META_BYTES) return undefined;
    return parseBlockMeta(await handle.readFile("utf8"));
  } catch {
    return undefined;
  } finally {
    await handle?.close();
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
