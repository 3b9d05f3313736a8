import { existsSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Failure } from "../lib/errors.ts";
import { examineDataDir } from "./data-dir.ts";
import { unchanged } from "./failed.ts";
import { finishInterrupted } from "./finish.ts";
import { usersOf } from "./in-use.ts";
import type { ArchiveInput } from "./intake/archive-input.ts";
import { type Survey, survey } from "./intake/survey.ts";
import { stagingBeside, stagingInside } from "./names.ts";
import { isRestored } from "./plan/choose.ts";
import type { Facts, Request } from "./plan/facts.ts";
import { makePlan, type Plan } from "./plan/plan.ts";
import { askPrometheus } from "./plan/running-prometheus.ts";
import { requireNone } from "./plan/verdict.ts";
import { putInPlace } from "./put/put.ts";
import { wasInterrupted } from "./put/recover.ts";
import { type DamagedBlock, requireSound } from "./stage/damage.ts";
import { requireReadable } from "./stage/encodings.ts";
import { placingOf } from "./stage/placing.ts";
import { type Staged, stage } from "./stage/stage.ts";
import { Staging } from "./stage/staging.ts";
import type { Restored, Surroundings } from "./surroundings.ts";

/**
 * Plans and does nothing. Standard input is read to its end for it.
 *
 * @throws Failure for the first guard that refuses; the plan has all of them
 */
export async function planRestore(
  archive: ArchiveInput,
  request: Request,
  surroundings: Surroundings,
): Promise<void> {
  const found = await survey(archive.read());
  const facts = await gather(archive, found, request, surroundings);
  const plan = makePlan(request, { ...facts, dryRun: true });
  surroundings.onPlan(plan);
  const { prometheus } = surroundings;
  if (prometheus !== undefined && plan.running === undefined) {
    surroundings.warn(
      `Prometheus at ${prometheus.shown} doesn't answer, or isn't ready: what its retention and its version mean for this restore was not looked at`,
    );
  }
  if (wasInterrupted(plan.dataDir)) {
    surroundings.warn(
      `a restore into ${plan.dataDir} was interrupted: the next one finishes it first`,
    );
  }
  requireNone(plan.refusals);
}

/**
 * Restores blocks of an archive into a data directory: plans, stages, and puts in place, in this
 * order. A file is read twice, first for the plan; standard input is staged before it is planned.
 *
 * @throws Failure for the first guard that refuses (the plan has all of them); DamagedError
 */
export async function restore(
  archive: ArchiveInput,
  request: Request,
  surroundings: Surroundings,
): Promise<Restored> {
  if (process.platform !== "linux")
    throw new Failure(
      `restore works on Linux alone, not on ${process.platform}: extract with tar there`,
    );
  const known = archive.repeatable ? await survey(archive.read()) : undefined;
  const finished = await finishInterrupted(archive, known, request, surroundings);
  if (finished !== undefined) return finished;
  const facts = await gather(archive, known ?? NOT_READ, request, surroundings);
  const plan = makePlan(request, facts);
  if (known !== undefined) {
    surroundings.onPlan(plan);
    requireNone(plan.refusals);
    if (restoredOf(plan).length === 0) return restoredBy(plan, request, []);
  } else requireNone(plan.refusals.filter(({ guard }) => BEFORE_READING.has(guard)));
  const staging = openStaging(plan);
  let ready: Ready;
  try {
    const wanted = wantedBy(known && plan, request.skipDamaged);
    const { checks } = surroundings;
    const staged = await stage(archive.read(), staging, plan.ownership, wanted, checks);
    if (known !== undefined) requireSame(archive, plan, staged.survey);
    const first = known ? plan : planStaged(request, facts, surroundings, staged);
    ready = makeReady(first, request, facts, surroundings, staged);
    // A signal that came while files were synced is told when the event loop has its turn.
    await setImmediate();
    surroundings.signal.throwIfAborted();
  } catch (error) {
    staging.abandon();
    throw surroundings.signal.aborted ? surroundings.signal.reason : unchanged(plan.dataDir, error);
  }
  const done = restoredBy(ready.plan, request, ready.leftOut);
  if (done.placing.restored.length > 0)
    return {
      ...done,
      placing: putInPlace(
        ready.plan,
        request,
        facts.target,
        staging,
        done.placing,
        surroundings.warn,
      ),
    };
  staging.discard();
  return done;
}

function restoredBy(plan: Plan, { mode }: Request, leftOut: readonly DamagedBlock[]): Restored {
  return {
    dataDir: plan.dataDir,
    placing: placingOf(plan, mode),
    finished: false,
    blocks: plan.blocks.filter(isRestored),
    leftOut,
    running: plan.running,
  };
}

/** @throws Failure if another restore works on the directory in another way */
function openStaging({ way, dataDir }: Plan): Staging {
  const [own, other] =
    way === "exchange"
      ? [stagingBeside(dataDir), stagingInside(dataDir)]
      : [stagingInside(dataDir), stagingBeside(dataDir)];
  const staging = Staging.open(own);
  if (!existsSync(other)) return staging;
  staging.close();
  throw new Failure(`another prombackup restore is at work in ${other}: wait for its end`);
}

/** What is staged, and how it is to be put in place. */
interface Ready {
  readonly plan: Plan;
  readonly leftOut: readonly DamagedBlock[];
}

/** What is known of an archive that was not read yet, and what can be told without. */
const NOT_READ: Survey = { snapshot: "", blocks: [], unknown: [] };
const BEFORE_READING: ReadonlySet<string> = new Set(["running", "not-data", "not-empty", "owner"]);

async function gather(
  { path: archive }: ArchiveInput,
  found: Survey,
  request: Request,
  { prometheus, now }: Surroundings,
): Promise<Facts> {
  const target = examineDataDir(request.dataDir);
  const running = prometheus && (await askPrometheus(prometheus));
  const users = request.mode === "blocks" ? [] : usersOf(target);
  return { target, archive, survey: found, running, users, dryRun: false, now };
}

/** The guards that need the blocks' contents; then all that is left is as it shall be in its place. */
function makeReady(
  first: Plan,
  request: Request,
  facts: Facts,
  { warn }: Surroundings,
  staged: Staged,
): Ready {
  const leftOut = requireSound(staged, restoredOf(first), request.skipDamaged, warn);
  const plan = leftOut.length === 0 ? first : planWithout(leftOut, first, request, facts, warn);
  const restored = restoredOf(plan);
  if (restoredOf(first).length > 0 && restored.length === 0)
    throw new Failure("no block is left to restore: all of them are damaged");
  for (const { ulid } of plan.blocks) if (!restored.includes(ulid)) staged.remove(ulid);
  const version = request.prometheusVersion ?? plan.running?.version;
  requireReadable(staged, restored, version, warn);
  staged.finish(placingOf(plan, request.mode));
  return { plan, leftOut };
}

/** What a damaged block was compacted from takes its place, if it is in the archive. */
function planWithout(
  damaged: readonly DamagedBlock[],
  first: Plan,
  request: Request,
  facts: Facts,
  warn: Surroundings["warn"],
): Plan {
  const what = new Map(damaged.map((block) => [block.ulid, block.what]));
  const blocks = first.blocks.map((block) => {
    const found = what.get(block.ulid);
    return found === undefined ? block : { ...block, errors: [...block.errors, found] };
  });
  const survey = { ...facts.survey, snapshot: first.snapshot, blocks };
  const plan = makePlan(request, { ...facts, survey, staged: true });
  requireNone(plan.refusals);
  const before = restoredOf(first);
  for (const ulid of restoredOf(plan).filter((name) => !before.includes(name)))
    warn(`block ${ulid} is restored after all: what was compacted from it is damaged`);
  return plan;
}

/** The plan for what was staged before it. */
function planStaged(
  request: Request,
  facts: Facts,
  { onPlan }: Surroundings,
  staged: Staged,
): Plan {
  const plan = makePlan(request, { ...facts, survey: staged.survey, staged: true });
  onPlan(plan);
  requireNone(plan.refusals);
  return plan;
}

/** Where damaged blocks may be skipped, what they were compacted from is staged, too. */
function wantedBy(plan: Plan | undefined, skipDamaged: boolean): (ulid: string) => boolean {
  const wanted = plan?.blocks.filter(
    (block) => isRestored(block) || (skipDamaged && block.action === "not needed"),
  );
  const names = wanted && new Set(wanted.map(({ ulid }) => ulid));
  return (ulid) => names?.has(ulid) ?? true;
}

function restoredOf({ blocks }: Plan): string[] {
  return blocks.filter(isRestored).map(({ ulid }) => ulid);
}

/** The archive was read twice, and must have been the same both times. */
function requireSame({ name }: ArchiveInput, plan: Plan, { blocks }: Survey): void {
  for (const { ulid, files, meta } of plan.blocks.filter(isRestored)) {
    const again = blocks.find((block) => block.ulid === ulid);
    if (!isDeepStrictEqual([files, meta], [again?.files, again?.meta]))
      throw new Failure(`${name} changed while it was restored: restore again`);
  }
}
