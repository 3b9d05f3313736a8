import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { isMarked, mark, unmark } from "../stage/marker.ts";
import type { Placing } from "../stage/placing.ts";
import type { Staging } from "../stage/staging.ts";
import { HeldDirectory } from "./held-directory.ts";
import { putInsteadOf, putNew } from "./put-in-place.ts";

/**
 * Adds staged blocks to a data directory, each in one step, so that what Prometheus finds at any
 * moment is whole blocks; those that they replace go aside. Where it was interrupted, it goes on.
 */
export function insertBlocks(
  staging: Staging,
  path: string,
  { restored, replaced, aside }: Placing,
): void {
  using target = new HeldDirectory(path);
  const staged = (ulid: string) => staging.at(`data/${ulid}`);
  const added = restored.filter((ulid) => !replaced.includes(ulid));
  for (const ulid of added) {
    const isLeft = existsSync(staged(ulid)) && !existsSync(target.at(ulid));
    if (isLeft) renameSync(staged(ulid), target.at(ulid));
  }
  syncDirectory(target.path);
  if (aside === undefined) return;
  mkdirSync(target.at(aside), { recursive: true });
  using kept = new HeldDirectory(target.at(aside));
  for (const ulid of replaced) replaceBlock(target.at(ulid), staged(ulid), kept.at(ulid));
}

/** What an earlier restore has left in blocks that are to go would have them taken for the new ones. */
export function unmarkReplaced(path: string, { replaced }: Placing): void {
  using target = new HeldDirectory(path);
  for (const block of replaced.map((ulid) => target.at(ulid))) {
    if (isMarked(block)) unmark(block);
  }
}

/** Whether any step of it was done. */
export function isInsertBegun(
  staging: Staging,
  path: string,
  { restored, aside }: Placing,
): boolean {
  if (aside !== undefined && existsSync(join(path, aside))) return true;
  return restored.some((ulid) => !existsSync(staging.at(`data/${ulid}`)));
}

/** The block that is marked is the new one (see {@link ./marker.ts}). */
function replaceBlock(target: string, staged: string, kept: string): void {
  if (isMarked(target)) {
    if (existsSync(staged)) renameSync(staged, kept);
    syncDirectory(dirname(kept));
    unmark(target);
  } else if (existsSync(staged)) {
    mark(staged);
    if (existsSync(target)) putInsteadOf(target, staged, kept);
    else putNew(staged, target);
  }
}
