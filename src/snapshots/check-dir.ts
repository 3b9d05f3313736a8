import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

/**
 * Checks the snapshot directory before anything starts. One that doesn't exist yet is normal, since
 * Prometheus makes it with its first snapshot, but its parent must be there.
 *
 * @throws Failure if it is no directory or can't be read, with what to do.
 */
export async function checkSnapshotDir(snapshotDir: string, log: Log): Promise<void> {
  const remedy =
    '--snapshot-dir must name the directory "snapshots" within Prometheus\'s data directory';
  const found = await stat(snapshotDir).catch(async (error: unknown) => {
    if (errorCode(error) !== "ENOENT")
      throw new Failure(`the snapshot directory ${snapshotDir} can't be read: ${errorText(error)}`);
    await checkParent(snapshotDir, remedy);
    log.info(
      "the snapshot directory doesn't exist yet: Prometheus makes it with its first snapshot",
      { snapshot_dir: snapshotDir },
    );
    return undefined;
  });
  if (found === undefined) return;
  if (!found.isDirectory())
    throw new Failure(`the snapshot directory ${snapshotDir} is not a directory: ${remedy}`);
  if (!(await may(snapshotDir, constants.R_OK | constants.X_OK))) {
    throw new Failure(
      `the snapshot directory ${snapshotDir} can't be read by uid ${process.getuid?.()}: run as the user of Prometheus`,
    );
  }
  if (!(await may(snapshotDir, constants.W_OK))) {
    log.warn(
      "the snapshot directory is not writable, so pruning won't work: run as the user of Prometheus",
      { snapshot_dir: snapshotDir },
    );
  }
}

async function checkParent(snapshotDir: string, remedy: string): Promise<void> {
  const parent = dirname(snapshotDir);
  const found = await stat(parent).catch((error: unknown) => {
    throw new Failure(
      `neither the snapshot directory ${snapshotDir} nor its parent can be found: ${errorText(error)}: ${remedy}`,
    );
  });
  if (!found.isDirectory()) throw new Failure(`${parent} is not a directory: ${remedy}`);
}

async function may(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
