import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { basename } from "node:path";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { isUlid } from "../../tsdb/meta.ts";
import { mark, marked, unmark } from "../stage/marker.ts";
import type { Staging } from "../stage/staging.ts";
import { HeldDirectory } from "./held-directory.ts";
import { putInsteadOf } from "./put-in-place.ts";

/**
 * Adds staged blocks to a data directory, each in one step, so that what Prometheus finds at any
 * moment is whole blocks. What an interruption leaves undone, a second run adds.
 *
 * @param replaced blocks that are there already, which go aside
 */
export function insertBlocks(
  staging: Staging,
  path: string,
  blocks: readonly string[],
  replaced: ReadonlySet<string>,
  aside: string | undefined,
): void {
  using target = new HeldDirectory(path);
  const added = blocks.filter((ulid) => !replaced.has(ulid));
  for (const ulid of added) renameSync(staging.at(`data/${ulid}`), target.at(ulid));
  syncDirectory(target.path);
  if (aside === undefined) return;
  mkdirSync(target.at(basename(aside)));
  using kept = new HeldDirectory(target.at(basename(aside)));
  for (const ulid of blocks.filter((ulid) => replaced.has(ulid))) {
    const staged = staging.at(`data/${ulid}`);
    mark(staged, { snapshot: "", complete: true });
    putInsteadOf(target.at(ulid), staged, kept.at(ulid));
  }
}

/**
 * Ends what an interruption left of the replacing: a block that was replaced and is still among the
 * staged ones goes aside.
 */
export function finishReplaced(staging: Staging, path: string, aside: string): void {
  using target = new HeldDirectory(path);
  const staged = (ulid: string) => staging.at(`data/${ulid}`);
  const names = readdirSync(target.path).filter(isUlid);
  for (const ulid of names.filter((name) => marked(target.at(name)) !== undefined)) {
    if (existsSync(staged(ulid)) && marked(staged(ulid)) === undefined) {
      mkdirSync(target.at(basename(aside)), { recursive: true });
      using kept = new HeldDirectory(target.at(basename(aside)));
      renameSync(staged(ulid), kept.at(ulid));
      syncDirectory(kept.path);
    }
    unmark(target.at(ulid));
  }
}
