import { isDeepStrictEqual } from "node:util";
import { errorText, Failure } from "../../lib/errors.ts";
import { type DataDir, examineDataDir } from "../data-dir.ts";
import { findUsers, lockDataDir } from "../in-use.ts";
import { asideInside } from "../names.ts";
import type { Request } from "../plan/facts.ts";
import type { Plan } from "../plan/plan.ts";
import type { Placing } from "../stage/placing.ts";
import type { Staging } from "../stage/staging.ts";
import { insertBlocks } from "./insert.ts";
import { putInsteadOf, putNew } from "./put-in-place.ts";
import { putWithin } from "./put-within.ts";
import { recover } from "./recover.ts";
import { asidePath } from "./undo.ts";

/**
 * The decisive step: until here nothing of the target was touched. Nobody may use it meanwhile, so
 * Prometheus's lock is held; single blocks are put beside those that a running Prometheus has. If it
 * fails on the way, it is as if it had been interrupted there.
 *
 * @param seen the target as the plan was made for it
 * @returns what was put in place
 * @throws Failure if the target is in use, or changed since then
 */
export function putInPlace(
  plan: Plan,
  { mode, dataDir }: Request,
  seen: DataDir,
  staging: Staging,
  placing: Placing,
): Placing {
  let begun = false;
  const work = () => {
    requireAsPlanned(seen, placing);
    begun = true;
    put(plan, staging, placing);
  };
  try {
    if (mode === "blocks") work();
    else whileUnused(dataDir, work);
    staging.discard();
    return placing;
  } catch (error) {
    if (begun) {
      staging.close();
      return settle(plan.dataDir, error);
    }
    staging.discard();
    throw error;
  }
}

/**
 * Where blocks are added, only they matter: Prometheus may run there.
 *
 * @throws Failure if the target isn't what was planned for any more
 */
function requireAsPlanned(seen: DataDir, { way, restored, replaced }: Placing): void {
  const { path, entries, stats } = examineDataDir(seen.path);
  if (way === "insert") {
    for (const ulid of restored) {
      const isThere = entries.includes(ulid);
      if (isThere !== replaced.includes(ulid))
        throw changed(`block ${ulid} ${isThere ? "has come to" : "is gone from"} ${path}`);
    }
  } else if (stats.ino !== seen.stats.ino || !isDeepStrictEqual(entries, seen.entries)) {
    throw changed(`${path} has changed`);
  }
}

function whileUnused(dataDir: string, work: () => void): void {
  const target = examineDataDir(dataDir);
  const lock = lockDataDir(target);
  if (lock === undefined) throw inUse(target.path, "somebody holds its lock");
  try {
    const [user] = findUsers(target);
    if (user !== undefined) throw inUse(target.path, user);
    work();
  } finally {
    lock.release();
  }
}

function put({ way, dataDir, ownership }: Plan, staging: Staging, placing: Placing): void {
  const aside = asidePath(dataDir, placing);
  if (way === "within") {
    putWithin(staging, dataDir, aside ?? asideInside(dataDir, new Date()), ownership);
  } else if (way === "insert") {
    insertBlocks(staging, dataDir, placing);
  } else if (aside === undefined) putNew(staging.at("data"), dataDir);
  else putInsteadOf(dataDir, staging.at("data"), aside);
}

/** @throws the error, unless what it broke off could be finished */
function settle(dataDir: string, error: unknown): Placing {
  let finished: Placing | undefined;
  try {
    finished = recover(dataDir, new Date());
  } catch (again) {
    throw new Failure(
      `${errorText(error)}; the restore is interrupted there (${errorText(again)}): once that is mended, the same command again finishes it`,
    );
  }
  if (finished === undefined) throw error;
  return finished;
}

function inUse(dataDir: string, how: string): Failure {
  return new Failure(`${dataDir} is in use: ${how}: stop Prometheus and restore again`);
}

function changed(what: string): Failure {
  return new Failure(
    `${what} since the plan was made: another restore, or Prometheus, works there: this one has changed nothing: wait for the other's end, and restore again`,
  );
}
