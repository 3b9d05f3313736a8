import { checkSnapshot } from "../../tsdb/check-snapshot.ts";
import type { BlockMeta } from "../../tsdb/meta.ts";
import type { ExistingBlock } from "../data-dir.ts";
import type { SurveyedBlock } from "../intake/survey.ts";

/** What becomes of a block of the archive. */
export interface ChosenBlock extends SurveyedBlock {
  /**
   * `replace`: the target has a block of this name, which is moved aside. `not needed`: the target has
   * its samples already.
   */
  readonly action: "restore" | "replace" | "not needed" | "leave out";
  /** Why it isn't simply restored. */
  readonly why: string | undefined;
}

/** Whether a block is to be written. */
export function isRestored({ action }: ChosenBlock): boolean {
  return action === "restore" || action === "replace";
}

/** What is to lie in the data directory together. */
export interface Choice {
  /** All of the archive, in its order. */
  readonly blocks: readonly ChosenBlock[];
  /** Blocks of the target that Prometheus will delete because a restored one replaces them. */
  readonly superseded: readonly string[];
  /** What overlaps, in sentences. */
  readonly overlaps: readonly string[];
}

export interface Wishes {
  /** The blocks that were named; all if undefined. */
  readonly only: ReadonlySet<string> | undefined;
  /** Blocks whose samples lie after this, in milliseconds since 1970, are left out. */
  readonly notAfter: number | undefined;
  /** Blocks that are known to be damaged are left out. */
  readonly skipDamaged: boolean;
}

/**
 * Decides from each meta.json which blocks of an archive go to the blocks that stay in the target:
 * none that is there already, and none that Prometheus would delete at once or that says again what
 * another one holds.
 *
 * @param staying blocks of the target that aren't moved aside
 */
export function choose(
  archived: readonly SurveyedBlock[],
  staying: readonly ExistingBlock[],
  wishes: Wishes,
): Choice {
  const wanted = archived.filter((block) => unwanted(block, wishes) === undefined);
  const superseding = parentsOf([...wanted, ...staying.map(unnamed)]);
  const blocks = archived.map((block) => {
    const decision = decide(block, staying, superseding, wishes);
    return { ...block, ...decision };
  });
  const restored = blocks.filter(isRestored).map(named);
  const replaced = new Set(restored.map(({ block }) => block));
  const kept = staying.filter(({ block }) => !replaced.has(block));
  const findings = checkSnapshot([...kept, ...restored]);
  const of = (kind: string) => findings.filter((finding) => finding.kind === kind);
  return {
    blocks,
    superseded: of("blocks-superseded").map(({ block }) => block),
    overlaps: of("blocks-overlap").map(({ block, message }) => `block ${block}: ${message}`),
  };
}

type Decision = Pick<ChosenBlock, "action" | "why">;

function decide(
  block: SurveyedBlock,
  staying: readonly ExistingBlock[],
  superseding: ReadonlyMap<string, string>,
  wishes: Wishes,
): Decision {
  const { ulid, meta } = block;
  const why = unwanted(block, wishes);
  if (why !== undefined) return { action: "leave out", why };
  const there = staying.find((other) => other.block === ulid);
  if (there !== undefined) {
    if (wishes.only) return { action: "replace", why: "the one that is there is moved aside" };
    const unreadable = `there already, but unreadable: --block ${ulid} --replace restores it`;
    return notNeeded(there.meta === undefined ? unreadable : "there already");
  }
  const by = superseding.get(ulid);
  if (by !== undefined) return notNeeded(`block ${by} was compacted from it`);
  const holder = meta && staying.find((other) => holds(other.meta, meta));
  if (holder !== undefined) return notNeeded(`block ${holder.block} holds its samples`);
  return { action: "restore", why: undefined };
}

function unwanted(
  { ulid, meta, errors }: SurveyedBlock,
  { only, notAfter, skipDamaged }: Wishes,
): string | undefined {
  if (only !== undefined && !only.has(ulid)) return "not asked for";
  if (skipDamaged && errors.length > 0) return `damaged: ${errors[0]}`;
  if (meta && notAfter !== undefined && meta.maxTime > notAfter) return "of the future";
  return undefined;
}

function notNeeded(why: string): Decision {
  return { action: "not needed", why };
}

/** Which block says of which one that it takes its place. */
function parentsOf(
  blocks: readonly { readonly ulid: string; readonly meta: BlockMeta | undefined }[],
): Map<string, string> {
  const pairs = blocks.flatMap(({ ulid, meta }) =>
    (meta?.compaction.parents ?? []).flatMap((parent) =>
      parent === ulid ? [] : [[parent, ulid] as const],
    ),
  );
  return new Map(pairs);
}

/** Whether a block was compacted from all that another one was compacted from. */
export function holds(larger: BlockMeta | undefined, smaller: BlockMeta): boolean {
  const { sources } = smaller.compaction;
  const within = new Set(larger?.compaction.sources);
  return sources.length > 0 && sources.every((source) => within.has(source));
}

function named(block: SurveyedBlock) {
  return { ...block, block: block.ulid };
}

function unnamed({ block, meta }: ExistingBlock) {
  return { ulid: block, meta };
}
