import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { tempDir } from "../support/temp.ts";

/** Mounts a file system on a new directory until the end of the test. */
export function mount(...args: string[]): string {
  const directory = join(tempDir(), "mounted");
  mkdirSync(directory);
  const { exitCode, stderr } = Bun.spawnSync(["mount", ...args, directory]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  atEnd(() => {
    Bun.spawnSync(["umount", "--lazy", directory]);
  });
  return directory;
}

export function tmpfs(bytes: number): string {
  return mount("-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs");
}

/** An ext4 of 64 MB on a disk that fails beyond the first few: told by fsync(2). Needs mkfs.ext4. */
export function failingDisk(): string {
  // The disk is a sparse file for which there isn't the space.
  const image = join(tmpfs(6_000_000), "disk");
  writeFileSync(image, "");
  truncateSync(image, 64_000_000);
  const mkfs = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", image];
  const { exitCode, stderr } = Bun.spawnSync(mkfs);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return mount("-o", "loop", image);
}

/** Whether this user, on this machine, may mount; `kind` as one of the functions above. */
export function canMount(kind: "tmpfs" | "loop"): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    if (kind === "tmpfs") tmpfs(1_000_000);
    else failingDisk();
    return true;
  } catch {
    // No right to it in a container, or no loop devices.
    return false;
  }
}
