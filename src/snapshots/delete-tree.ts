import { open, readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, Failure } from "../lib/errors.ts";
import { descriptorPath, HOLD_DIRECTORY } from "./held.ts";
import { type Place, reasonText } from "./reason.ts";

/** Enough to keep a disk busy, few enough to leave threads to the downloads. */
const UNLINKS_AT_ONCE = 8;

/**
 * Deletes what a held directory contains, not the directory itself. No symbolic link is followed at
 * any level, whoever changes the tree meanwhile: each directory is reached through the descriptor of
 * the one above, and what isn't a directory is only unlinked. Files are never opened or changed: those of a
 * snapshot are hard links to the live blocks of Prometheus. The event loop goes on meanwhile.
 *
 * @param place where the directory is held, and its name for messages
 * @param device the file system that is not to be left: a directory on another one is an error
 * @throws Failure that names the directory and the reason; the rest of the tree stays
 */
export async function deleteContents(place: Place, device: number): Promise<void> {
  let names: Buffer[];
  try {
    // Names as bytes: what isn't valid UTF-8 is to go as well.
    names = await readdir(place.path, { encoding: "buffer" });
  } catch (error) {
    // Somebody else has deleted the directory itself.
    if (errorCode(error) === "ENOENT") return;
    throw new Failure(reasonText(error, place));
  }
  for (const name of await unlinkFiles(place, names)) await deleteDirectory(place, name, device);
}

/** Unlinks all that isn't a directory, and returns the names that are. */
async function unlinkFiles(place: Place, names: readonly Buffer[]): Promise<Buffer[]> {
  const directories: Buffer[] = [];
  const queue = names.values();
  async function work(): Promise<void> {
    for (const name of queue) {
      if (!(await unlinkFile(place, name))) directories.push(name);
    }
  }
  const workers = Array.from({ length: UNLINKS_AT_ONCE }, work);
  // All of them are over before an error is told: nothing is deleted after the answer.
  for (const result of await Promise.allSettled(workers)) {
    if (result.status === "rejected") throw result.reason;
  }
  return directories;
}

/** @returns false if it is a directory */
async function unlinkFile(place: Place, name: Buffer): Promise<boolean> {
  try {
    await unlink(child(place, name));
  } catch (error) {
    if (errorCode(error) === "EISDIR") return false;
    if (errorCode(error) !== "ENOENT") throw new Failure(reasonText(error, place));
  }
  return true;
}

async function deleteDirectory(parent: Place, name: Buffer, device: number): Promise<void> {
  const shown = join(parent.shown, name.toString());
  const path = child(parent, name);
  try {
    const handle = await open(path, HOLD_DIRECTORY);
    try {
      if ((await handle.stat()).dev !== device) {
        throw new Failure(`${shown} is on another file system: unmount it first`);
      }
      await deleteContents({ path: descriptorPath(handle.fd), shown }, device);
    } finally {
      await handle.close();
    }
    await rmdir(path);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    if (errorCode(error) === "ENOENT") return;
    throw new Failure(reasonText(error, parent));
  }
}

function child(place: Place, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${place.path}/`), name]);
}
