import { shown } from "../../archive/shown.ts";
import { counted, formatTime } from "../../lib/units.ts";
import type { BlockMeta } from "../../tsdb/meta.ts";
import type { ExistingBlock } from "../data-dir.ts";
import type { SurveyedBlock } from "../intake/survey.ts";
import { isRestored } from "./choose.ts";
import type { Draft } from "./draft.ts";
import type { Facts, Request } from "./facts.ts";
import {
  DEFAULT_RETENTION,
  type Doomed,
  forecast,
  parseRetention,
  type Retention,
} from "./retention.ts";
import type { Verdict } from "./verdict.ts";

/** Guards that are about what goes there. */
export function guardBlocks(request: Request, facts: Facts, draft: Draft, verdict: Verdict): void {
  guardArchive(request, facts, draft, verdict);
  guardReplaced(request, facts, draft, verdict);
  guardFuture(draft, verdict);
  guardRetention(request, facts, draft, verdict);
  guardOverlap(request, facts, draft, verdict);
}

function guardArchive(
  { only, skipUnknown, skipDamaged }: Request,
  { survey }: Facts,
  draft: Draft,
  verdict: Verdict,
): void {
  const there = new Set(survey.blocks.map(({ ulid }) => ulid));
  for (const ulid of only ?? []) {
    if (!there.has(ulid))
      verdict.refuse(
        "unknown-block",
        `the archive has no block ${shown(ulid)}: see its list above`,
      );
  }
  const restored = draft.blocks.filter(isRestored);
  if (!draft.blocks.some(({ action }) => action !== "leave out")) {
    const why = draft.blocks[0]?.why ?? "Prometheus had no data when it was taken";
    verdict.refuse("no-blocks", `the archive has no block to restore: ${why}`);
  }
  for (const { ulid, errors } of restored) {
    if (errors[0] === undefined) continue;
    verdict.refuse(
      "damaged",
      `block ${ulid} is damaged: ${errors[0]}: take it from another backup, or leave it out with --skip-damaged`,
    );
  }
  for (const { ulid, errors, action } of draft.blocks) {
    if (action === "leave out" && skipDamaged && errors[0] !== undefined)
      verdict.warn(`block ${ulid} is left out with all that it holds: ${errors[0]}`);
  }
  const [first, ...more] = survey.unknown;
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` and ${more.length} more`;
  const what = `${shown(first)}${others} in the archive: no part of a snapshot`;
  if (skipUnknown) verdict.warn(`${what}: not restored`);
  else verdict.refuse("unknown-files", `${what}: --skip-unknown restores without it`);
}

/** Of blocks that the target has under the same name, or that it will lose. */
function guardReplaced(
  { only, replaceBlocks }: Request,
  { running, target }: Facts,
  draft: Draft,
  verdict: Verdict,
): void {
  const staying = draft.way === "insert" ? target.blocks : [];
  for (const block of draft.blocks) {
    const { ulid, action } = block;
    if (action === "not needed") {
      guardThere(block, staying, draft.dataDir, verdict);
      guardRewritten(block, staying, only !== undefined, verdict);
    }
    if (action !== "replace") continue;
    if (!replaceBlocks) {
      verdict.refuse(
        "block-there",
        `${draft.dataDir} has a block ${ulid} already: --replace moves it aside and keeps it`,
      );
    } else if (running !== undefined) {
      verdict.warn(`a running Prometheus reads the new block ${ulid} after its next start only`);
    }
  }
  for (const block of draft.superseded) {
    verdict.warn(
      `Prometheus will delete block ${block} of ${draft.dataDir}: a restored block was compacted from it`,
    );
  }
}

/** Of a block that is there already, or should be. */
function guardThere(
  block: SurveyedBlock,
  staying: readonly ExistingBlock[],
  dataDir: string,
  verdict: Verdict,
): void {
  const { ulid } = block;
  const there = staying.find((other) => other.block === ulid);
  const instead = `--block ${ulid} --replace restores it`;
  if (there !== undefined && !looksLike(there, block)) {
    verdict.refuse(
      "block-there",
      `block ${ulid} of ${dataDir} is not as it was: it can't be read, or has files of other sizes than in the archive: prombackup verify ${dataDir}/${ulid} tells more, and ${instead}`,
    );
  } else if (tombstones(there) > tombstones(block)) {
    verdict.warn(
      `samples of block ${ulid} were deleted since the backup, and stay so: ${instead} with them`,
    );
  }
}

/** Of a block of which Prometheus has made another one since, as clean_tombstones has it do. */
function guardRewritten(
  block: SurveyedBlock,
  staying: readonly ExistingBlock[],
  isAsked: boolean,
  verdict: Verdict,
): void {
  const rewritten = staying.find((other) => isRewritten(other, block));
  if (rewritten === undefined) return;
  const message = `block ${block.ulid} isn't restored: block ${rewritten.block} there was made of it, without samples that were deleted, and Prometheus would delete it again beside that: to have them back, stop Prometheus, move ${rewritten.block} away and restore again`;
  if (isAsked) verdict.refuse("block-there", message);
  else verdict.warn(message);
}

function tombstones(block: { readonly meta: BlockMeta | undefined } | undefined): number {
  return block?.meta?.stats.numTombstones ?? 0;
}

/** Whether a block was made of the other one alone, with fewer samples. */
function isRewritten({ meta }: ExistingBlock, { ulid, meta: original }: SurveyedBlock): boolean {
  if (meta === undefined || original === undefined) return false;
  const { parents } = meta.compaction;
  const isOnly = parents.length > 0 && parents.every((parent) => parent === ulid);
  return isOnly && meta.stats.numSamples < original.stats.numSamples;
}

/** What deletions write is left out: meta.json and tombstones may differ by right. */
function looksLike(there: ExistingBlock, { files }: SurveyedBlock): boolean {
  const lasting = [...files].filter(([path]) => path === "index" || path.startsWith("chunks/"));
  return (
    there.meta !== undefined && lasting.every(([path, size]) => there.files.get(path) === size)
  );
}

function guardFuture({ blocks, future }: Draft, verdict: Verdict): void {
  for (const { ulid, meta } of blocks.filter(isRestored)) {
    if (meta === undefined || meta.maxTime <= future) continue;
    verdict.refuse(
      "future",
      `block ${ulid} reaches to ${formatTime(new Date(meta.maxTime))}, which is in the future: Prometheus would take no samples until then and delete old blocks too early: set this machine's clock if it is wrong, or leave the block out with --skip-future-blocks`,
    );
  }
}

const LIMITS = { time: "time", bytes: "size", percentage: "size" } as const;

function guardRetention(
  { retention: told, acceptRetentionLoss }: Request,
  { running, target, now }: Facts,
  draft: Draft,
  verdict: Verdict,
): void {
  const asked = typeof running === "object" ? running : undefined;
  const retention = told ?? asked?.retention;
  const restored = draft.blocks
    .filter(isRestored)
    .map((block) => ({ ...block, block: block.ulid }));
  const staying = draft.way === "insert" ? target.blocks : [];
  const names = new Set(restored.map(({ block }) => block));
  const others = staying.filter(({ block }) => !names.has(block));
  // What will go of the others in any case is no matter of this restore.
  const doomed = (limits: Retention) => {
    const fate = (blocks: typeof others) =>
      forecast(blocks, limits, now.getTime(), draft.diskBytes);
    const anyway = new Set(fate(others).map(({ block }) => block));
    const all = fate([...others, ...restored]);
    return all.filter(({ block }) => !anyway.has(block));
  };
  if (retention === undefined) {
    const lost = doomed(parseRetention(DEFAULT_RETENTION));
    if (lost.length > 0) {
      verdict.warn(
        `Prometheus's retention is not known here: with its default of ${DEFAULT_RETENTION}, ${namesOf(lost)} will be deleted within hours of its start: tell it with --retention`,
      );
    }
    return;
  }
  const lost = doomed(retention);
  const [first] = lost;
  if (first === undefined) return;
  const setting =
    asked?.retentionSettings[first.limit] ?? `--storage.tsdb.retention.${LIMITS[first.limit]}`;
  const fate = `${namesOf(lost)} will be deleted by retention within hours of Prometheus's start`;
  if (acceptRetentionLoss) verdict.warn(fate);
  else {
    verdict.refuse(
      "retention",
      `${fate}: raise ${setting} first, or accept it with --accept-retention-loss`,
    );
  }
}

function namesOf(blocks: readonly Doomed[]): string {
  const names = blocks.slice(0, 5).map(({ block }) => block);
  const more = blocks.length > 5 ? ` and ${blocks.length - 5} more` : "";
  return `${counted(blocks.length, "block")} (${names.join(", ")}${more})`;
}

function guardOverlap(
  { acceptOverlap }: Request,
  { running }: Facts,
  { overlaps }: Draft,
  verdict: Verdict,
): void {
  const merges = typeof running !== "object" || running.mergesOverlaps;
  for (const overlap of overlaps) {
    if (merges || acceptOverlap) {
      verdict.warn(`${overlap}: Prometheus since 2.39 answers from both and merges them`);
    } else {
      verdict.refuse(
        "overlap",
        `${overlap}, and the Prometheus there is not set to merge them: upgrade it or allow it (--storage.tsdb.allow-overlapping-blocks before 2.39, --storage.tsdb.allow-overlapping-compaction since), or accept it with --accept-overlap`,
      );
    }
  }
}
