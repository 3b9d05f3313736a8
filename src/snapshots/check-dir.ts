import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isBlockName } from "../tsdb/meta.ts";

/**
 * Checks the snapshot directory before anything starts. One that doesn't exist yet is normal, since
 * Prometheus makes it with its first snapshot, but its parent must be there.
 *
 * @throws Failure if it is no directory, or another one of Prometheus's, or can't be read, with what
 *   to do.
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
  await refuseDataDir(snapshotDir, remedy);
  if (!(await may(snapshotDir, constants.W_OK))) {
    log.warn(
      "the snapshot directory is not writable, so pruning won't work: run as the user of Prometheus",
      { snapshot_dir: snapshotDir },
    );
  }
}

/** In the data directory no snapshot is found, so that all would seem well, and nothing be done. */
async function refuseDataDir(snapshotDir: string, remedy: string): Promise<void> {
  const names = await readdir(snapshotDir);
  if (names.includes("wal")) {
    throw new Failure(
      `${snapshotDir} is Prometheus's data directory: its subdirectory snapshots is meant, ${join(snapshotDir, "snapshots")}`,
    );
  }
  for (const name of names.filter(isBlockName)) {
    if (!(await may(join(snapshotDir, name, "meta.json"), constants.F_OK))) continue;
    throw new Failure(
      `the snapshot directory ${snapshotDir} holds blocks, as a data directory or a single snapshot does: ${remedy}`,
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
