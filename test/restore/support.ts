import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { type Finished, run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";

export const SNAPSHOT = "20261122T155836Z-16a76bfa17aabbcc";

/** Runs `prombackup restore`. */
export function restore(...args: string[]): Promise<Finished> {
  return run("prombackup", ["restore", ...args]);
}

/** Packs a snapshot of the blocks of a directory, by GNU tar; answers the archive's path. */
export function archiveOf(blocks: string, change: (snapshot: string) => void = () => {}): string {
  const directory = tempDir();
  const snapshot = join(directory, SNAPSHOT);
  mkdirSync(snapshot);
  for (const name of blockNames(blocks)) {
    cpSync(join(blocks, name), join(snapshot, name), { recursive: true });
  }
  change(snapshot);
  const file = join(directory, "backup.tar");
  const tar = Bun.spawnSync(["tar", "-C", directory, "-cf", file, "--sort=name", SNAPSHOT]);
  if (!tar.success) throw new Error(tar.stderr.toString());
  return file;
}

/** The names of the blocks in a directory. */
export function blockNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^[0-7][0-9A-Z]{25}$/.test(name))
    .sort();
}

/** Changes the meta.json of a block. */
export function changeMeta(block: string, change: (meta: Meta) => void): void {
  const file = join(block, "meta.json");
  const meta: Meta = JSON.parse(readFileSync(file, "utf8"));
  change(meta);
  writeFileSync(file, JSON.stringify(meta));
}

export interface Meta {
  ulid: string;
  minTime: number;
  maxTime: number;
  compaction: { level: number; sources?: string[]; parents?: { ulid: string }[] };
}

/** Each file below a directory with a digest of its content, and each directory. */
export function listing(directory: string): Record<string, string> {
  const all: Record<string, string> = {};
  const walk = (path: string) => {
    for (const name of readdirSync(path)) {
      const child = join(path, name);
      const isDirectory = lstatSync(child).isDirectory();
      const content = isDirectory ? "directory" : Bun.hash(readFileSync(child)).toString(16);
      all[relative(directory, child)] = content;
      if (isDirectory) walk(child);
    }
  };
  if (existsSync(directory)) walk(directory);
  return all;
}
