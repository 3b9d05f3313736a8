import { existsSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { syncDirectory } from "../lib/sync-directory.ts";
import { isUlid } from "../tsdb/meta.ts";
import { mark, marked, unmark } from "./marker.ts";
import { putInsteadOf } from "./put-in-place.ts";
import type { Staging } from "./staging.ts";

/**
 * Adds staged blocks to a data directory, each in one step, so that what Prometheus finds at any
 * moment is whole blocks. What an interruption leaves undone, a second run adds.
 *
 * @param replaced blocks that are there already, which go aside
 */
export function insertBlocks(
  staging: Staging,
  target: string,
  blocks: readonly string[],
  replaced: ReadonlySet<string>,
  aside: string | undefined,
): void {
  for (const ulid of blocks) {
    const [staged, place] = [staging.at(`data/${ulid}`), join(target, ulid)];
    if (replaced.has(ulid) && aside !== undefined && existsSync(place)) {
      mkdirSync(aside, { recursive: true });
      mark(staged, { snapshot: "", complete: true });
      putInsteadOf(place, staged, join(aside, ulid));
    } else renameSync(staged, place);
  }
  syncDirectory(target);
}

/**
 * Sets aside what an interruption left in the staging directory of blocks that had been replaced.
 *
 * @param staged the directory of staged blocks
 */
export function finishReplaced(
  staged: string,
  names: readonly string[],
  target: string,
  aside: string,
): void {
  for (const ulid of names.filter(isUlid)) {
    const place = join(target, ulid);
    if (marked(place) === undefined) continue;
    if (marked(join(staged, ulid)) === undefined) {
      mkdirSync(aside, { recursive: true });
      renameSync(join(staged, ulid), join(aside, basename(place)));
      syncDirectory(aside);
    }
    unmark(place);
  }
}
