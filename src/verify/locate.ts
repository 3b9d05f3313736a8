import { lstat, readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { shown } from "../archive/shown.ts";
import { errorText, Failure } from "../lib/errors.ts";
import { isSnapshotName } from "../snapshots/name.ts";
import { isBlockName, MAX_META_BYTES, parseBlockMeta } from "../tsdb/meta.ts";

/** Blocks that lie on the disk. */
export interface LocatedBlocks {
  /** The directory that they lie in, or the block's own. */
  readonly name: string;
  /** Its path. */
  readonly directory: string;
  /** By ULID. */
  readonly blocks: readonly { readonly ulid: string; readonly path: string }[];
  /** Names of what lies beside the blocks. */
  readonly others: readonly string[];
}

/**
 * Finds the blocks in a directory: a block's own, a snapshot's, a data directory, or one that an
 * archive was extracted to.
 *
 * @throws Failure if there are none, or several snapshots, or it can't be read
 */
export async function locateBlocks(directory: string): Promise<LocatedBlocks> {
  const path = await real(directory);
  const names = (await list(path)).toSorted();
  if (names.includes("meta.json") || isBlockName(basename(path))) return singleBlock(path);
  const blocks = names.filter(isBlockName).map((ulid) => ({ ulid, path: join(path, ulid) }));
  if (blocks.length > 0)
    return {
      name: basename(path),
      directory: path,
      blocks,
      others: names.filter((name) => !isBlockName(name)),
    };
  const snapshots = names.filter(isSnapshotName);
  const [snapshot, second] = snapshots;
  if (second !== undefined) {
    throw new Failure(
      `${directory} holds ${snapshots.length} snapshots: name one of them, such as ${join(directory, second)}`,
    );
  }
  if (snapshot !== undefined && (await isDirectory(join(path, snapshot))))
    return locateBlocks(join(path, snapshot));
  throw new Failure(
    `${directory} holds no block: name the directory of a block or a snapshot, a data directory, or where an archive was extracted`,
  );
}

async function singleBlock(path: string): Promise<LocatedBlocks> {
  const name = basename(path);
  const ulid = isBlockName(name) ? name : await ulidOf(path);
  return { name, directory: path, blocks: [{ ulid, path }], others: [] };
}

/** A block that was copied under another name is still one; only its meta.json knows which. */
async function ulidOf(path: string): Promise<string> {
  const file = join(path, "meta.json");
  try {
    const found = await stat(file);
    if (!found.isFile() || found.size > MAX_META_BYTES) throw new Failure("it is no such file");
    return parseBlockMeta(await readFile(file, "utf8")).ulid;
  } catch (error) {
    throw new Failure(
      `${shown(file)} doesn't tell which block that is, and neither does the directory's name: ${errorText(error)}`,
    );
  }
}

/** What was named may itself be a link; what lies in it may not. */
async function real(path: string): Promise<string> {
  return realpath(path).catch((error: unknown) => {
    throw new Failure(`${path} can't be read: ${errorText(error)}`);
  });
}

async function list(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    throw new Failure(`${path} can't be read: ${errorText(error)}`);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path)).isDirectory();
}
