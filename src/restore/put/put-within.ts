import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Failure } from "../../lib/errors.ts";
import { exchange } from "../../lib/files/exchange.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { isUlid } from "../../tsdb/meta.ts";
import { isAsideInside, isOurs } from "../names.ts";
import type { Ownership } from "../ownership.ts";
import type { Staging } from "../stage/staging.ts";
import { writeSynced } from "../stage/write-synced.ts";
import { HeldDirectory } from "./held-directory.ts";

/*
 * A directory that can't be renamed (a mount point, as a volume in a container is) has its content
 * exchanged instead, in many steps. Prometheus must not start in between, on half of it: a regular file
 * in the place of `wal`, where Prometheus wants a directory, keeps it from starting before it has
 * touched anything. The file comes first and goes last; it says what happened and what to do.
 *
 * The staged blocks lie in STAGING/data until all that was there is aside, and in STAGING/moving from
 * then on: so a second run knows which of two blocks of one name is the new one.
 */

const BAR = "wal";
const STAYS = new Set([BAR, "lock", "lost+found"]);
const FIRST_LINE =
  "prombackup restore was interrupted here, and Prometheus can't start until it has ended.";

/**
 * Puts staged blocks into a directory whose own content goes aside.
 *
 * @param aside within the directory; it is made
 * @throws Failure if the file system can't; nothing is changed then
 */
export function putWithin(
  staging: Staging,
  path: string,
  aside: string,
  ownership: Ownership,
): void {
  using target = new HeldDirectory(path);
  const name = basename(aside);
  mkdirSync(target.at(name));
  using kept = new HeldDirectory(target.at(name));
  kept.give(ownership);
  writeSynced(kept.at(BAR), barText(path, name));
  syncDirectory(kept.path);
  if (!bar(target, kept)) {
    rmSync(target.at(name), { recursive: true });
    throw new Failure(
      `${path} is a mount point or its parent can't be written to, and its file system can't exchange two names: move its content away by hand and restore into the empty directory`,
    );
  }
  exchangeContent(staging, target, kept, name);
}

/** Goes on where {@link putWithin} was interrupted behind its first step. */
export function finishWithin(staging: Staging, path: string, aside: string): void {
  using target = new HeldDirectory(path);
  using kept = new HeldDirectory(target.at(basename(aside)));
  exchangeContent(staging, target, kept, basename(aside));
}

function exchangeContent(
  staging: Staging,
  target: HeldDirectory,
  kept: HeldDirectory,
  asideName: string,
): void {
  syncDirectory(target.path);
  if (staging.names.includes("data")) {
    for (const name of readdirSync(target.path)) {
      if (!STAYS.has(name) && !isOurs(name)) renameSync(target.at(name), kept.at(name));
    }
    syncDirectory(kept.path);
    syncDirectory(target.path);
    renameSync(staging.at("data"), staging.at("moving"));
    syncDirectory(staging.at("."));
  }
  moveIn(staging, target);
  unlinkSync(target.at(BAR));
  if (readdirSync(kept.path).length === 0) rmdirSync(target.at(asideName));
  syncDirectory(target.path);
}

function moveIn(staging: Staging, target: HeldDirectory): void {
  const moving = staging.at("moving");
  for (const name of readdirSync(moving)) {
    if (isUlid(name)) renameSync(join(moving, name), target.at(name));
  }
  syncDirectory(target.path);
}

/** Moves in what is left when nothing bars the directory: all is in place, or somebody took the bar away. */
export function finishUnbarred(staging: Staging, path: string): void {
  using target = new HeldDirectory(path);
  moveIn(staging, target);
}

/** Where the old content of a directory goes that is barred; undefined if it isn't. */
export function barredAside(target: string): string | undefined {
  const name = readBar(join(target, BAR));
  return name === undefined ? undefined : join(target, name);
}

/** Removes what was prepared for {@link putWithin} if it came no further. */
export function discardUnused(target: string): void {
  for (const name of readdirSync(target).filter(isAsideInside)) {
    const aside = join(target, name);
    const bars = readdirSync(aside).filter((entry) => entry.startsWith(BAR));
    const unused =
      bars.length === readdirSync(aside).length &&
      bars.every((entry) => lstatSync(join(aside, entry)).isFile());
    if (unused) rmSync(aside, { recursive: true });
  }
}

/** @returns false if the file system can't exchange names */
function bar(target: HeldDirectory, kept: HeldDirectory): boolean {
  if (lstatSync(target.at(BAR), { throwIfNoEntry: false }) !== undefined)
    return exchange(kept.at(BAR), target.at(BAR));
  renameSync(kept.at(BAR), target.at(BAR));
  return true;
}

function barText(target: string, aside: string): string {
  return `${FIRST_LINE}
Run the same command again: it finishes the work.
What was in ${target} goes to ${aside}
`;
}

/** The name is looked at closely: whoever may write to the directory may have written this file. */
function readBar(path: string): string | undefined {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  const text = readFileSync(path, "utf8");
  const name = text.trimEnd().split(" ").at(-1) ?? "";
  return text.startsWith(FIRST_LINE) && isAsideInside(name) ? name : undefined;
}
