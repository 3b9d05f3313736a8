import { existsSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Failure } from "../../lib/errors.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { asideBeside, stagingBeside, stagingInside, unused } from "../names.ts";
import { isMarked, placingFor, unmark } from "../stage/marker.ts";
import type { Placing } from "../stage/placing.ts";
import { Staging } from "../stage/staging.ts";
import { insertBlocks, isInsertBegun } from "./insert.ts";
import { putNew } from "./put-in-place.ts";
import { barredAside, discardUnused, finishUnbarred, finishWithin } from "./put-within.ts";

/**
 * Ends what an interrupted restore into a data directory began: finishes one that had come past its
 * decisive step, and removes what another one had staged.
 *
 * @returns what was finished; undefined if nothing was
 * @throws Failure if another restore is at work there, or something stands where it can't tell what it is
 */
export function recover(target: string, now: Date): Placing | undefined {
  return recoverBeside(target, now) ?? recoverInside(target);
}

/** Whether there is something to recover. */
export function wasInterrupted(target: string): boolean {
  return existsSync(stagingBeside(target)) || existsSync(stagingInside(target));
}

function recoverBeside(target: string, now: Date): Placing | undefined {
  const staging = Staging.openExisting(stagingBeside(target));
  if (staging === undefined) return undefined;
  const data = staging.at("data");
  if (!isMarked(data) && isMarked(target)) {
    const placing = placingFor(target) ?? unknown("exchange");
    const aside = existsSync(data) ? moveAside(data, target, placing, now) : placing.aside;
    // What was broken off may not have come to it, or have failed in it.
    syncDirectory(dirname(target));
    unmark(target);
    staging.close();
    return withAside({ ...placing, aside }, dirname(target));
  }
  const placing = placingFor(data);
  if (placing !== undefined && !existsSync(target)) {
    putNew(data, target);
    staging.close();
    return withAside(placing, dirname(target));
  }
  requireOurs(staging, data);
  staging.discard();
  return undefined;
}

/** What was in the place of a data directory. */
function moveAside(old: string, target: string, { aside }: Placing, now: Date): string {
  const parent = dirname(target);
  const path = aside === undefined ? asideBeside(target, now) : unused(join(parent, aside));
  renameSync(old, path);
  return basename(path);
}

function recoverInside(target: string): Placing | undefined {
  const staging = Staging.openExisting(stagingInside(target));
  if (staging === undefined) return undefined;
  const finished = finishInside(staging, target);
  discardUnused(target);
  staging.discard();
  return finished && withAside(finished, target);
}

function finishInside(staging: Staging, target: string): Placing | undefined {
  const [data, moving] = [placingFor(staging.at("data")), placingFor(staging.at("moving"))];
  const aside = barredAside(target);
  if (aside !== undefined) {
    finishWithin(staging, target, aside);
    return { ...(data ?? moving ?? unknown("within")), aside: basename(aside) };
  }
  if (moving !== undefined) {
    finishUnbarred(staging, target);
    return moving;
  }
  if (data?.way !== "insert" || !isInsertBegun(staging, target, data)) return undefined;
  insertBlocks(staging, target, data);
  return data;
}

/** What can be told of a restore of which nothing is written down. */
function unknown(way: Placing["way"]): Placing {
  return { snapshot: "", mode: "replace", way, restored: [], replaced: [], aside: undefined };
}

/** Where there was nothing, nothing is aside. */
function withAside(placing: Placing, parent: string): Placing {
  const { aside } = placing;
  const there = aside !== undefined && existsSync(join(parent, aside));
  return { ...placing, aside: there ? aside : undefined };
}

/** What has no marker was not staged here, and may be all that somebody has. */
function requireOurs(staging: Staging, data: string): void {
  if (!existsSync(data) || isMarked(data)) return;
  staging.close();
  throw new Failure(
    `${staging.path}/data is not what a restore has staged: look at it, and move it away`,
  );
}
