import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errorCode, Failure } from "../lib/errors.ts";
import { type Place, reasonText } from "./reason.ts";

/**
 * A directory is held by its descriptor, and what it contains is reached through the descriptor's
 * path below /proc: whatever its own path comes to name meanwhile, nothing else can be reached.
 * The last part of a path is never followed if it is a symbolic link.
 */
export const HOLD_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The path of what a descriptor of this process is open on. */
export function descriptorPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/**
 * Holds the snapshot directory while `use` runs. It may itself be a symbolic link.
 *
 * @returns what `use` returns; undefined if there is no such directory (Prometheus makes it with its
 *   first snapshot)
 * @throws Failure if it isn't a directory or can't be read
 */
export async function withSnapshotRoot<T>(
  snapshotDir: string,
  use: (root: Place) => Promise<T>,
): Promise<T | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(snapshotDir, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw rootFailure(error, snapshotDir);
  }
  try {
    return await use({ path: descriptorPath(handle.fd), shown: snapshotDir });
  } finally {
    await handle.close();
  }
}

/** What a failed opening of the snapshot directory itself is to the operator. */
export function rootFailure(error: unknown, snapshotDir: string): Failure {
  const reason = reasonText(error, { path: snapshotDir, shown: snapshotDir });
  return new Failure(`can't open the snapshot directory: ${reason}`);
}
