import { readdir } from "node:fs/promises";
import { formatDuration } from "../lib/duration.ts";
import { errorText, Failure } from "../lib/errors.ts";
import { creationUnderWay } from "./announce.ts";
import { SnapshotInvalid, SnapshotNotFound } from "./errors.ts";
import { withSnapshotRoot } from "./held.ts";
import { lockExclusive } from "./lock.ts";
import { snapshotTime } from "./name.ts";
import { type Place, reasonText } from "./reason.ts";
import { isLeftover, removeLocked, sweep } from "./remove.ts";

/** What is in the snapshot directory, as far as a plan needs to know it. */
export interface PruneEntry {
  readonly name: string;
  /** A real one: a symbolic link to a directory isn't. */
  readonly isDirectory: boolean;
}

export interface KeptSnapshot {
  readonly name: string;
  /** In words: in use, younger than 1h0m0s, dated in the future … */
  readonly reason: string;
}

/** What a prune is about to do. Nothing is changed yet, and nothing is known of who uses what. */
export interface PrunePlan {
  /** Old enough, oldest first. */
  readonly remove: readonly { readonly name: string; readonly time: Date }[];
  readonly kept: readonly KeptSnapshot[];
  /** What isn't a dated snapshot directory. */
  readonly ignored: readonly string[];
}

/** What a prune did; each name of the snapshot directory is in one list, if it still was there. */
export interface PruneResult {
  readonly removed: readonly string[];
  readonly kept: readonly KeptSnapshot[];
  /** Could not be removed, and why. */
  readonly failed: readonly { readonly name: string; readonly error: string }[];
  /** Left alone: not a directory, or not named like a snapshot with its date. */
  readonly ignored: readonly string[];
  /** Directories of earlier removals that were interrupted, and are finished now. */
  readonly swept: readonly string[];
}

export interface PruneOptions {
  /** Milliseconds; snapshots younger than that are kept. */
  readonly keepWithin: number;
  /** Defaults to the wall clock; a long-running process asks a PruneClock. */
  readonly now?: Date;
}

/** No creation takes longer; while one is under way, anything younger might be what it makes. */
const LONGEST_CREATION = 60 * 60 * 1000;

/**
 * Removes the snapshots that are older than `keepWithin` and not in use, and finishes removals that
 * were interrupted. A snapshot directory that doesn't exist is an empty one.
 *
 * @throws Failure if the snapshot directory can't be read, or for a negative `keepWithin`. What can't
 *   be removed is no such error: it is told in the result, and the others are removed.
 */
export async function pruneSnapshots(
  snapshotDir: string,
  options: PruneOptions,
): Promise<PruneResult> {
  const { keepWithin, now = new Date() } = options;
  if (!(keepWithin >= 0)) throw new Failure("KeepWithin must be larger than or equal to zero");
  const result = await withSnapshotRoot(snapshotDir, async (root) => {
    const entries = await listEntries(root);
    const names = entries.filter((entry) => entry.isDirectory).map((entry) => entry.name);
    const { swept, failed } = await sweep(root, names);
    const pruned = await executePrune(root, planPrune(entries, { keepWithin, now }), now);
    const unswept = failed.map(({ name, error }) => ({ name, error: error.message }));
    return { ...pruned, failed: [...unswept, ...pruned.failed], swept };
  });
  return result ?? { removed: [], kept: [], failed: [], ignored: [], swept: [] };
}

async function listEntries(root: Place): Promise<PruneEntry[]> {
  try {
    const entries = await readdir(root.path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
  } catch (error) {
    throw new Failure(`can't read the snapshot directory: ${reasonText(error, root)}`);
  }
}

/** Decides by names and dates alone. */
export function planPrune(
  entries: readonly PruneEntry[],
  { keepWithin, now }: { readonly keepWithin: number; readonly now: Date },
): PrunePlan {
  const remove: { name: string; time: Date }[] = [];
  const kept: KeptSnapshot[] = [];
  const ignored: string[] = [];
  for (const { name, isDirectory } of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const time = isDirectory ? snapshotTime(name) : undefined;
    if (time === undefined) {
      if (!isDirectory || !isLeftover(name)) ignored.push(name);
      continue;
    }
    const age = now.getTime() - time.getTime();
    if (age < 0) kept.push({ name, reason: "dated in the future" });
    else if (age < keepWithin) {
      kept.push({ name, reason: `younger than ${formatDuration(keepWithin)}` });
    } else remove.push({ name, time });
  }
  remove.sort((a, b) => a.time.getTime() - b.time.getTime());
  return { remove, kept, ignored };
}

const BEING_MADE = { kept: "perhaps still being made" };

type Outcome = "removed" | "gone" | { readonly kept: string } | { readonly failed: string };

async function executePrune(
  root: Place,
  plan: PrunePlan,
  now: Date,
): Promise<Omit<PruneResult, "swept">> {
  const removed: string[] = [];
  const kept = [...plan.kept];
  const failed: { name: string; error: string }[] = [];
  // Once ahead for all of them, so that a prune doesn't lock what it is going to keep.
  const creating = await creationUnderWay(root.path);
  for (const { name, time } of plan.remove) {
    const young = now.getTime() - time.getTime() < LONGEST_CREATION;
    const outcome = young && creating ? BEING_MADE : await pruneOne(root, name, young);
    if (outcome === "removed") removed.push(name);
    else if (outcome === "gone") continue;
    else if ("kept" in outcome) kept.push({ name, reason: outcome.kept });
    else failed.push({ name, error: outcome.failed });
  }
  return { removed, kept, failed, ignored: plan.ignored };
}

async function pruneOne(root: Place, name: string, young: boolean): Promise<Outcome> {
  try {
    const lock = await lockExclusive(root.path, name);
    if (lock === undefined) return { kept: "in use" };
    try {
      // Asked again under the lock, since one may have begun: see creationUnderWay.
      if (young && (await creationUnderWay(root.path))) return BEING_MADE;
      await removeLocked(root, name, lock);
    } finally {
      lock.release();
    }
    return "removed";
  } catch (error) {
    // Somebody else removed it, or put something else in its place, between the listing and now.
    if (error instanceof SnapshotNotFound || error instanceof SnapshotInvalid) return "gone";
    return { failed: errorText(error) };
  }
}
