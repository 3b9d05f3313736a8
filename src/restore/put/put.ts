import { Failure } from "../../lib/errors.ts";
import { examineDataDir } from "../data-dir.ts";
import { findUsers, lockDataDir } from "../in-use.ts";
import { asideInside } from "../names.ts";
import type { Request } from "../plan/facts.ts";
import type { Plan } from "../plan/plan.ts";
import type { Staging } from "../stage/staging.ts";
import { insertBlocks } from "./insert.ts";
import { putInsteadOf, putNew } from "./put-in-place.ts";
import { putWithin } from "./put-within.ts";

/**
 * The decisive step: until here nothing of the target was touched. Nobody may use it meanwhile, so
 * Prometheus's lock is held; single blocks are put beside those that a running Prometheus has.
 *
 * @throws Failure if the target is in use
 */
export function putInPlace(
  plan: Plan,
  { mode, dataDir }: Request,
  staging: Staging,
  restored: readonly string[],
): void {
  if (mode === "blocks") {
    put(plan, staging, restored);
    return;
  }
  const target = examineDataDir(dataDir);
  const lock = lockDataDir(target);
  if (lock === undefined) throw inUse(plan.dataDir, "somebody holds its lock");
  try {
    const [user] = findUsers(target);
    if (user !== undefined) throw inUse(plan.dataDir, user);
    put(plan, staging, restored);
  } finally {
    lock.release();
  }
}

function put(
  { way, dataDir, blocks, aside, ownership }: Plan,
  staging: Staging,
  restored: readonly string[],
): void {
  if (way === "within") {
    putWithin(staging, dataDir, aside ?? asideInside(dataDir, new Date()), ownership);
  } else if (way === "insert") {
    const replaced = blocks.filter(({ action }) => action === "replace");
    const names = new Set(replaced.map(({ ulid }) => ulid));
    insertBlocks(staging, dataDir, restored, names, aside);
  } else if (aside === undefined) putNew(staging.at("data"), dataDir);
  else putInsteadOf(dataDir, staging.at("data"), aside);
}

function inUse(dataDir: string, how: string): Failure {
  return new Failure(`${dataDir} is in use: ${how}: stop Prometheus and restore again`);
}
