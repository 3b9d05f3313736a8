import { lstatSync, readFileSync, unlinkSync } from "node:fs";
import { errorCode } from "../../lib/errors.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { MARKER } from "../names.ts";
import { writeSynced } from "./write-synced.ts";

/*
 * Two directories swap their names in one step, and after a crash nobody could tell which is which:
 * so the new one holds a file that the old one hasn't, until all is done.
 */

/** What a marker says of the directory that holds it. */
export interface Marked {
  /** The snapshot that is restored. */
  readonly snapshot: string;
  /** All files are there, and synced. */
  readonly complete: boolean;
}

/** Marks a directory as new. */
export function mark(directory: string, marked: Marked): void {
  writeSynced(`${directory}/${MARKER}`, `${JSON.stringify(marked)}\n`);
  syncDirectory(directory);
}

/** What a directory is marked with; undefined if it isn't. */
export function marked(directory: string): Marked | undefined {
  const path = `${directory}/${MARKER}`;
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? read(path) : undefined;
}

export function unmark(directory: string): void {
  try {
    unlinkSync(`${directory}/${MARKER}`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  syncDirectory(directory);
}

/** One that was cut off says nothing, but it is there. */
function read(path: string): Marked {
  try {
    const json: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof json !== "object" || json === null) return { snapshot: "", complete: false };
    const { snapshot, complete } = { snapshot: "", complete: false, ...json };
    return { snapshot: String(snapshot), complete: complete === true };
  } catch {
    return { snapshot: "", complete: false };
  }
}
