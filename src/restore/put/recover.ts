import { existsSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../../lib/errors.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { asideBeside, asideInside, stagingBeside, stagingInside } from "../names.ts";
import { marked, unmark } from "../stage/marker.ts";
import { Staging } from "../stage/staging.ts";
import { finishReplaced } from "./insert.ts";
import { putNew } from "./put-in-place.ts";
import { barredAside, discardUnused, finishWithin } from "./put-within.ts";

/** What had become of a restore that was interrupted. */
export interface Recovered {
  /** Its snapshot; "" where that isn't known. */
  readonly snapshot: string;
  /** Where what had been there is now; undefined if there was nothing. */
  readonly aside: string | undefined;
}

/**
 * Ends what an interrupted restore into a data directory began: finishes one that had come past its
 * decisive step, and removes what another one had staged.
 *
 * @returns undefined unless one was finished
 * @throws Failure if another restore is at work there, or something stands where it can't tell what it is
 */
export function recover(target: string, now: Date): Recovered | undefined {
  return recoverBeside(target, now) ?? recoverInside(target, now);
}

/** Whether there is something to recover. */
export function wasInterrupted(target: string): boolean {
  return existsSync(stagingBeside(target)) || existsSync(stagingInside(target));
}

function recoverBeside(target: string, now: Date): Recovered | undefined {
  const staging = Staging.openExisting(stagingBeside(target));
  if (staging === undefined) return undefined;
  const data = staging.at("data");
  const staged = marked(data);
  const placed = marked(target);
  if (staged === undefined && placed !== undefined) {
    const aside = existsSync(data) ? asideBeside(target, now) : undefined;
    if (aside !== undefined) renameSync(data, aside);
    syncDirectory(dirname(target));
    unmark(target);
    staging.close();
    return { snapshot: placed.snapshot, aside };
  }
  if (staged?.complete && !existsSync(target)) {
    putNew(data, target);
    staging.close();
    return { snapshot: staged.snapshot, aside: undefined };
  }
  requireOurs(staging, data);
  staging.discard();
  return undefined;
}

function recoverInside(target: string, now: Date): Recovered | undefined {
  const staging = Staging.openExisting(stagingInside(target));
  if (staging === undefined) return undefined;
  const aside = barredAside(target);
  if (aside !== undefined) {
    const { snapshot } = marked(staging.at("data")) ??
      marked(staging.at("moving")) ?? { snapshot: "" };
    finishWithin(staging, target, aside);
    staging.discard();
    return { snapshot, aside: existsSync(aside) ? aside : undefined };
  }
  discardUnused(target);
  finishReplaced(staging, target, asideInside(target, now));
  staging.discard();
  return undefined;
}

/** What has no marker was not staged here, and may be all that somebody has. */
function requireOurs(staging: Staging, data: string): void {
  if (!existsSync(data) || marked(data) !== undefined) return;
  staging.close();
  throw new Failure(
    `${staging.path}/data is not what a restore has staged: look at it, and move it away`,
  );
}
