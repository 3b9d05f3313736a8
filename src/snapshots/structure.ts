import { closeSync, type Dirent, lstatSync, openSync, readdirSync } from "node:fs";
import { Failure } from "../lib/errors.ts";
import { slices } from "../lib/slices.ts";
import { isUlid } from "../tsdb/meta.ts";
import { descriptorPath, HOLD_DIRECTORY } from "./held.ts";
import { readMeta } from "./measure.ts";

/** What Prometheus calls a block that it has begun (tsdb/db.go, `tmpForCreationBlockDirSuffix`). */
const UNFINISHED = /\.tmp(-for-creation|-for-deletion)?$/;

/**
 * Looks whether a snapshot that nobody vouches for has all the files that its blocks must have. An
 * interrupted snapshot lacks some: Prometheus links the files of a block one by one. Their contents
 * are not read, and a block that isn't there at all can't be missed.
 *
 * @param directory the path of a held snapshot
 * @throws Failure naming the snapshot, the block and what is missing
 */
export async function requireStructure(directory: string, name: string): Promise<void> {
  const pause = slices();
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    await pause();
    const flaw = flawOf(directory, entry);
    if (flaw === undefined) continue;
    throw new Failure(
      `snapshot ${name} is incomplete: its block ${entry.name} ${flaw}. Prometheus never confirmed this snapshot to this server: take a new one, and remove this`,
    );
  }
}

function flawOf(directory: string, entry: Dirent): string | undefined {
  if (!entry.isDirectory()) return undefined;
  if (UNFINISHED.test(entry.name)) return "is not finished";
  if (!isUlid(entry.name)) return undefined;
  const fd = openSync(`${directory}/${entry.name}`, HOLD_DIRECTORY);
  try {
    return flawOfBlock(descriptorPath(fd), entry.name);
  } finally {
    closeSync(fd);
  }
}

function flawOfBlock(block: string, ulid: string): string | undefined {
  for (const file of ["meta.json", "index", "tombstones"]) {
    const stats = lstatSync(`${block}/${file}`, { throwIfNoEntry: false });
    if (!stats?.isFile()) return `has no ${file}`;
    if (stats.size === 0) return `has an empty ${file}`;
  }
  const meta = readMeta(block);
  if (meta === undefined) return "has a meta.json that can't be read";
  if (meta.ulid !== ulid) return `is ${meta.ulid} by its meta.json`;
  return flawOfChunks(`${block}/chunks`);
}

/** Segments are numbered from 1 without a gap. */
function flawOfChunks(path: string): string | undefined {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return "has no chunks";
  const segments = readdirSync(path)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  const gap = segments.findIndex((number, index) => number !== index + 1);
  if (gap === -1) return undefined;
  return `lacks the segment ${String(gap + 1).padStart(6, "0")} of its chunks`;
}
