import { existsSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { Failure } from "../../lib/errors.ts";
import { type DataDir, examineDataDir } from "../data-dir.ts";
import { reason, unchanged } from "../failed.ts";
import { findUsers, lockDataDir } from "../in-use.ts";
import { asideInside } from "../names.ts";
import type { Request } from "../plan/facts.ts";
import type { Plan } from "../plan/plan.ts";
import type { Placing } from "../stage/placing.ts";
import type { Staging } from "../stage/staging.ts";
import { insertBlocks, unmarkReplaced } from "./insert.ts";
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
  warn: (message: string) => void,
): Placing {
  let begun = false;
  let done = false;
  const work = () => {
    requireAsPlanned(seen, placing);
    begun = true;
    put(plan, staging, placing);
    done = true;
  };
  try {
    if (mode === "blocks") work();
    else whileUnused(dataDir, work);
    staging.discard();
    return placing;
  } catch (error) {
    if (!begun) {
      staging.abandon();
      throw unchanged(plan.dataDir, error);
    }
    const isStaged = !done && existsSync(staging.at("data"));
    staging.leave();
    const settled = settle(plan.dataDir, error, done);
    if (settled === undefined && isStaged) throw unchanged(plan.dataDir, error);
    warn(`a step failed (${reason(error)}), but all is in place`);
    return settled ?? placing;
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
    unmarkReplaced(dataDir, placing);
    insertBlocks(staging, dataDir, placing);
  } else if (aside === undefined) putNew(staging.at("data"), dataDir);
  else putInsteadOf(dataDir, staging.at("data"), aside);
}

/**
 * Ends what an error broke off.
 *
 * @param done whether no more than traces are left to be removed, which the next run does as well
 * @returns what was finished; undefined if nothing was: it hadn't come as far, or it was done
 * @throws Failure if that fails as well
 */
function settle(dataDir: string, error: unknown, done: boolean): Placing | undefined {
  try {
    return recover(dataDir, new Date());
  } catch (again) {
    if (done) return undefined;
    throw new Failure(
      `can't restore into ${dataDir}: ${reason(error)}; the restore is interrupted there (${reason(again)}): once that is mended, the same command again finishes it`,
    );
  }
}

function inUse(dataDir: string, how: string): Failure {
  return new Failure(`${dataDir} is in use: ${how}: stop Prometheus and restore again`);
}

function changed(what: string): Failure {
  return new Failure(
    `${what} since the plan was made: another restore, or Prometheus, works there: this one has changed nothing: wait for the other's end, and restore again`,
  );
}
