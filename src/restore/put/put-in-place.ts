import { renameSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode, Failure } from "../../lib/errors.ts";
import { exchange } from "../../lib/files/exchange.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { isMarked, unmark } from "../stage/marker.ts";

/**
 * Puts a staged directory where there is none yet, or an empty one: by rename, so it is there whole or
 * not at all.
 *
 * @throws Failure if something has come there meanwhile; nothing is changed then
 */
export function putNew(staged: string, target: string): void {
  try {
    renameSync(staged, target);
  } catch (error) {
    if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "EEXIST") throw error;
    throw new Failure(
      `${target} was empty and isn't any more: something writes there, a Prometheus perhaps: stop it and restore again`,
    );
  }
  syncDirectory(dirname(target));
  unmark(target);
}

/**
 * Puts a staged directory in the place of another one, which goes aside. The two are exchanged in
 * one step where the file system can; a directory that is marked (see {@link ./marker.ts}) tells, if
 * this is interrupted, on which side of that step it was.
 */
export function putInsteadOf(target: string, staged: string, aside: string): void {
  // One that was left there, and is nobody's by now, would make both of them new.
  if (isMarked(target)) unmark(target);
  if (exchange(staged, target)) renameSync(staged, aside);
  else {
    // For a moment there is neither. A Prometheus that starts right then finds no data.
    renameSync(target, aside);
    renameSync(staged, target);
  }
  for (const directory of new Set([dirname(target), dirname(aside), dirname(staged)])) {
    syncDirectory(directory);
  }
  unmark(target);
}
