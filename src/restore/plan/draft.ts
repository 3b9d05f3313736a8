import { type StatsFs, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { DataDir } from "../data-dir.ts";
import type { Survey } from "../intake/survey.ts";
import { asideBeside, asideInside } from "../names.ts";
import { type Ownership, ownershipOf } from "../ownership.ts";
import { type ChosenBlock, choose, isRestored } from "./choose.ts";
import type { Facts, Request } from "./facts.ts";
import type { RunningPrometheus } from "./running-prometheus.ts";

/** How restored blocks come to where Prometheus looks for them. */
export type Way =
  /** A new directory takes the place of the old one, in one step. */
  | "exchange"
  /** The directory can't be renamed (a mount point): its content is exchanged, barred meanwhile. */
  | "within"
  /** Blocks are added to the directory, one by one. */
  | "insert";

/** What a restore will do. Data alone: it has done nothing. */
export interface Intent {
  readonly dataDir: string;
  readonly snapshot: string;
  readonly way: Way;
  readonly blocks: readonly ChosenBlock[];
  /** What will be written. */
  readonly bytes: number;
  readonly freeBytes: number;
  /** Where what is there now goes; undefined if nothing does. */
  readonly aside: string | undefined;
  readonly ownership: Ownership;
  /** The Prometheus that was asked. */
  readonly running: RunningPrometheus | undefined;
}

/** Blocks that reach further into the future than a clock may be wrong. */
const FUTURE_MS = 3600 * 1000;

/** What is planned before the guards have spoken, and what they look at. */
export interface Draft extends Intent {
  /** Blocks of the target that Prometheus will delete because a restored one replaces them. */
  readonly superseded: readonly string[];
  readonly overlaps: readonly string[];
  /** The size of the file system. */
  readonly diskBytes: number;
  /** Milliseconds since 1970, beyond which no block should reach. */
  readonly future: number;
}

/** Decides what to do; looks at the free space alone, and changes nothing. */
export function draft(request: Request, { target, survey, running, now }: Facts): Draft {
  const future = now.getTime() + FUTURE_MS;
  const way = wayOf(request, target, survey);
  const { blocks, superseded, overlaps } = choose(
    survey.blocks,
    way === "insert" ? target.blocks : [],
    {
      only: request.only && new Set(request.only),
      notAfter: request.skipFuture ? future : undefined,
      skipDamaged: request.skipDamaged,
    },
  );
  const restored = blocks.filter(isRestored);
  const disk = statfsSync(target.exists ? target.path : dirname(target.path));
  return {
    dataDir: target.path,
    snapshot: survey.snapshot,
    way,
    blocks,
    bytes: restored.reduce((sum, block) => sum + onDisk(block, disk), 0),
    freeBytes: disk.bavail * disk.bsize,
    // A new directory may hold what is nobody's, such as an old lock; anything else is refused.
    aside: isFull(request, target) ? undefined : asideOf(way, target, blocks, now),
    ownership: ownershipOf(target, request.owner),
    running: running === "starting" ? undefined : running,
    superseded,
    overlaps,
    diskBytes: disk.blocks * disk.bsize,
    future,
  };
}

/** Where there is nothing yet, nothing is merged; where all of it is, nothing is refused. */
function wayOf({ mode }: Request, target: DataDir, survey: Survey): Way {
  const { entries, renamable } = target;
  if ((mode === "merge" || mode === "blocks") && entries.length > 0) return "insert";
  if (mode === "new" && isRestoredAlready(target, survey)) return "insert";
  return renamable ? "exchange" : "within";
}

/** An earlier run has come to its end, and Prometheus wasn't started since. */
function isRestoredAlready({ entries, blocks }: DataDir, survey: Survey): boolean {
  return (
    entries.length > 0 &&
    entries.length === survey.blocks.length &&
    survey.blocks.every(({ ulid, files, meta }) => {
      const there = blocks.find(({ block }) => block === ulid);
      return isDeepStrictEqual([there?.files, there?.meta], [files, meta]);
    })
  );
}

function isFull({ mode }: Request, { entries }: DataDir): boolean {
  return mode === "new" && entries.length > 0;
}

function asideOf(
  way: Way,
  { path, empty, entries }: DataDir,
  blocks: readonly ChosenBlock[],
  now: Date,
): string | undefined {
  if (way === "insert") {
    const replaces = blocks.some(({ action }) => action === "replace");
    return replaces ? asideInside(path, now) : undefined;
  }
  if (way === "exchange") return empty ? undefined : asideBeside(path, now);
  return entries.length === 0 ? undefined : asideInside(path, now);
}

/** A file takes whole blocks of the file system. */
function onDisk({ files }: ChosenBlock, { bsize }: StatsFs): number {
  let bytes = 0;
  for (const size of files.values()) bytes += Math.ceil(size / bsize) * bsize;
  return bytes;
}
