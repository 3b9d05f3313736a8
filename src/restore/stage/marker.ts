import { lstatSync, readFileSync, unlinkSync } from "node:fs";
import { errorCode } from "../../lib/errors.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { MARKER } from "../names.ts";
import { type Placing, parsePlacing } from "./placing.ts";
import { writeSynced } from "./write-synced.ts";

/*
 * Two directories swap their names in one step, and after a crash nobody could tell which is which:
 * so the new one holds a file that the old one hasn't, until all is done.
 */

/**
 * Marks a directory as new.
 *
 * @param placing what is to become of it; undefined before all files are there, and synced
 */
export function mark(directory: string, placing?: Placing): void {
  writeSynced(`${directory}/${MARKER}`, `${JSON.stringify(placing ?? {})}\n`);
  syncDirectory(directory);
}

export function isMarked(directory: string): boolean {
  return lstatSync(`${directory}/${MARKER}`, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What is to become of a marked directory; undefined if that isn't known, or not yet. */
export function placingFor(directory: string): Placing | undefined {
  if (!isMarked(directory)) return undefined;
  try {
    return parsePlacing(readFileSync(`${directory}/${MARKER}`, "utf8"));
  } catch {
    // One that was cut off says nothing, but it is there.
    return undefined;
  }
}

export function unmark(directory: string): void {
  try {
    unlinkSync(`${directory}/${MARKER}`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  syncDirectory(directory);
}
