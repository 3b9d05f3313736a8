import { isDeepStrictEqual } from "node:util";
import { DamagedError, Failure } from "../lib/errors.ts";
import type { Prometheus } from "../prometheus.ts";
import type { ArchiveInput } from "./archive-input.ts";
import { isRestored } from "./choose.ts";
import { type DamagedBlock, damagedBlocks } from "./damage.ts";
import { examineDataDir } from "./data-dir.ts";
import { guardEncodings } from "./encodings.ts";
import { findUsers, lockDataDir } from "./in-use.ts";
import { insertBlocks } from "./insert.ts";
import { asideInside, stagingBeside, stagingInside } from "./names.ts";
import { type Facts, makePlan, type Plan, type Request } from "./plan.ts";
import { putInsteadOf, putNew } from "./put-in-place.ts";
import { putWithin } from "./put-within.ts";
import { type Recovered, recover, wasInterrupted } from "./recover.ts";
import { askPrometheus, type RunningPrometheus } from "./running-prometheus.ts";
import { type Staged, stage } from "./stage.ts";
import { Staging } from "./staging.ts";
import { type Survey, survey } from "./survey.ts";
import { type Refusal, Verdict } from "./verdict.ts";

/** What a restore needs of the program around it. */
export interface Surroundings {
  readonly prometheus: Prometheus | undefined;
  readonly signal: AbortSignal;
  readonly now: Date;
  /** Called once, with the plan, before anything is changed but the staging directory. */
  readonly onPlan: (plan: Plan) => void;
  readonly warn: (message: string) => void;
}

/** What was done. */
export interface Restored {
  readonly plan: Plan;
  readonly restored: readonly string[];
  readonly leftOut: readonly DamagedBlock[];
  /** The Prometheus that answered before. */
  readonly running: RunningPrometheus | undefined;
}

/** Plans and does nothing. Standard input is read to its end for it. */
export async function planRestore(
  archive: ArchiveInput,
  request: Request,
  surroundings: Surroundings,
): Promise<Plan> {
  const found = await survey(archive.read());
  const plan = makePlan(request, await gather(found, request, surroundings));
  if (wasInterrupted(plan.dataDir)) {
    surroundings.warn(
      `${plan.dataDir}: a restore was interrupted there: the next one finishes it first`,
    );
  }
  surroundings.onPlan(plan);
  requireNone(plan.refusals);
  return plan;
}

/**
 * Restores blocks of an archive into a data directory: plans, stages, and puts in place, in this
 * order. A file is read twice, first for the plan; standard input is staged before it is planned.
 *
 * @returns what was done, or that an interrupted run of the same had done it but for the last step
 * @throws Failure for the first guard that refuses (the plan has all of them); DamagedError
 */
export async function restore(
  archive: ArchiveInput,
  request: Request,
  surroundings: Surroundings,
): Promise<Restored | Recovered> {
  const known = archive.repeatable ? await survey(archive.read()) : undefined;
  const { path } = examineDataDir(request.dataDir);
  const recovered = recover(path, surroundings.now);
  if (recovered !== undefined) {
    if (recovered.snapshot === known?.snapshot) return recovered;
    surroundings.warn(`${path}: finished a restore that was interrupted`);
  }
  const facts = await gather(known ?? EMPTY, request, surroundings);
  const plan = makePlan(request, facts);
  if (known === undefined) requireNone(plan.refusals.filter(({ guard }) => EARLY.has(guard)));
  else {
    surroundings.onPlan(plan);
    requireNone(plan.refusals);
  }
  const running = facts.running === "starting" ? undefined : facts.running;
  if (known !== undefined && restoredOf(plan).length === 0)
    return { plan, restored: [], leftOut: [], running };
  const { dataDir, way } = plan;
  const staging = Staging.open(
    way === "exchange" ? stagingBeside(dataDir) : stagingInside(dataDir),
  );
  try {
    return await stageAndPut(archive, request, surroundings, facts, known && plan, staging);
  } finally {
    staging.close();
  }
}

/** What is known of an archive that was not read yet. */
const EMPTY: Survey = { snapshot: "", blocks: [], unknown: [] };
/** What can be told without it. */
const EARLY: ReadonlySet<string> = new Set(["running", "not-empty", "owner"]);

async function gather(
  found: Survey,
  request: Request,
  { prometheus, now }: Surroundings,
): Promise<Facts> {
  const target = examineDataDir(request.dataDir);
  return {
    target,
    survey: found,
    running: prometheus && (await askPrometheus(prometheus)),
    users: request.mode === "blocks" ? [] : findUsers(target),
    now,
  };
}

async function stageAndPut(
  archive: ArchiveInput,
  request: Request,
  surroundings: Surroundings,
  facts: Facts,
  known: Plan | undefined,
  staging: Staging,
): Promise<Restored> {
  try {
    const { ownership } = known ?? makePlan(request, facts);
    const planned = known && new Set(restoredOf(known));
    const wanted = (ulid: string) => planned?.has(ulid) ?? true;
    const staged = await stage(archive.read(), staging, ownership, wanted);
    const plan =
      known ?? planStaged(request, { ...facts, survey: staged.survey }, surroundings, staged);
    if (known !== undefined) requireSame(archive, facts.survey, staged.survey, restoredOf(known));
    const leftOut = sortOut(staged, restoredOf(plan), request, surroundings);
    const lost = new Set(leftOut.map(({ ulid }) => ulid));
    const restored = restoredOf(plan).filter((ulid) => !lost.has(ulid));
    requireReadable(staged, restored, request, facts, surroundings);
    staged.finish();
    surroundings.signal.throwIfAborted();
    if (restored.length === 0) throw new Failure("no block is left to restore: all are damaged");
    put(plan, request, staging, restored);
    const { running } = facts;
    return { plan, restored, leftOut, running: running === "starting" ? undefined : running };
  } catch (error) {
    staging.discard();
    throw surroundings.signal.aborted ? surroundings.signal.reason : error;
  }
}

/** The plan for what has been staged already, without the blocks that it leaves out. */
function planStaged(
  request: Request,
  facts: Facts,
  { onPlan }: Surroundings,
  staged: Staged,
): Plan {
  const plan = makePlan(request, { ...facts, staged: true });
  onPlan(plan);
  requireNone(plan.refusals);
  for (const block of plan.blocks) if (!isRestored(block)) staged.remove(block.ulid);
  return plan;
}

/** Damaged blocks stop the restore, or are taken away and named with what is lost. */
function sortOut(
  staged: Staged,
  planned: readonly string[],
  { skipDamaged }: Request,
  { warn }: Surroundings,
): DamagedBlock[] {
  const damaged = damagedBlocks(staged).filter(({ ulid }) => planned.includes(ulid));
  const [first, ...more] = damaged;
  if (first !== undefined && !skipDamaged) {
    const others =
      more.length === 0 ? "" : ` (and ${more.length} more: prombackup verify tells all)`;
    throw new DamagedError(
      `block ${first.ulid} is damaged: ${first.what}${others}: nothing was restored: take it from another backup, or leave it out with --skip-damaged, which loses ${first.lost}`,
    );
  }
  for (const { ulid, what, lost } of damaged) {
    staged.remove(ulid);
    warn(`block ${ulid} is left out, it is damaged: ${what}; lost are ${lost}`);
  }
  return damaged;
}

function requireReadable(
  { contents }: Staged,
  restored: readonly string[],
  { prometheusVersion }: Request,
  { running }: Facts,
  { warn }: Surroundings,
): void {
  const verdict = new Verdict();
  const asked = typeof running === "object" ? running.version : undefined;
  const blocks = contents.blocks.filter(({ block }) => restored.includes(block));
  guardEncodings(blocks, prometheusVersion ?? asked, verdict);
  for (const warning of verdict.warnings) warn(warning);
  requireNone(verdict.refusals);
}

/** The decisive step. Until here nothing of the target was touched. */
function put(
  plan: Plan,
  { mode, dataDir }: Request,
  staging: Staging,
  restored: readonly string[],
): void {
  const target = examineDataDir(dataDir);
  const lock = mode === "blocks" ? undefined : lockDataDir(target);
  if (mode !== "blocks") {
    if (lock === undefined) throw inUse(plan.dataDir, "somebody holds its lock");
    const [user] = findUsers(target);
    if (user !== undefined) throw inUse(plan.dataDir, user);
  }
  try {
    const data = staging.at("data");
    if (plan.way === "within") {
      putWithin(staging, plan.dataDir, asideInside(plan.dataDir, new Date()), plan.ownership);
      staging.discard();
    } else if (plan.way === "insert") {
      const replaced = plan.blocks.filter(({ action }) => action === "replace");
      const names = new Set(replaced.map(({ ulid }) => ulid));
      insertBlocks(staging, plan.dataDir, restored, names, plan.aside);
      staging.discard();
    } else if (plan.aside === undefined) putNew(data, plan.dataDir);
    else putInsteadOf(plan.dataDir, data, plan.aside);
  } finally {
    lock?.release();
  }
}

function inUse(dataDir: string, how: string): Failure {
  return new Failure(`${dataDir} is in use: ${how}: stop Prometheus and restore again`);
}

function restoredOf({ blocks }: Plan): string[] {
  return blocks.filter(isRestored).map(({ ulid }) => ulid);
}

function requireNone(refusals: readonly Refusal[]): void {
  const [first, ...more] = refusals;
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.length} more, see the plan)`;
  if (first.guard === "damaged") throw new DamagedError(`refused: ${first.message}${others}`);
  throw new Failure(`refused: ${first.message}${others}`);
}

/** The archive is read twice, and must be the same both times. */
function requireSame(
  { name }: ArchiveInput,
  before: Survey,
  after: Survey,
  ulids: readonly string[],
): void {
  for (const ulid of ulids) {
    const [one, other] = [before, after].map(({ blocks }) =>
      blocks.find((block) => block.ulid === ulid),
    );
    if (!isDeepStrictEqual([one?.files, one?.meta], [other?.files, other?.meta]))
      throw new Failure(`${name} changed while it was restored: restore again`);
  }
}
