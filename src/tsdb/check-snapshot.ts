import { type Finding, makeFinding } from "./findings.ts";
import { timeText } from "./index/series-text.ts";
import type { BlockMeta } from "./meta.ts";

/** What is known of a block: its {@link BlockResult} will do. */
export interface KnownBlock {
  /** The name of its directory. */
  readonly block: string;
  /** Undefined if Prometheus would not read it. */
  readonly meta: BlockMeta | undefined;
}

/** Prometheus puts samples that come late in blocks of their own: these overlap by their nature. */
const LATE_SAMPLES = "from-out-of-order";

/**
 * Checks the blocks of one snapshot or data directory against each other, as far as their meta.json
 * tells: blocks of one ULID get in each other's way, blocks that another one replaces are deleted,
 * and blocks that overlap are merged.
 */
export function checkSnapshot(blocks: readonly KnownBlock[]): readonly Finding[] {
  const known = blocks.flatMap(({ block, meta }) => (meta === undefined ? [] : [{ block, meta }]));
  return [...findSameUlid(known), ...findSuperseded(blocks, known), ...findOverlaps(known)];
}

interface ReadableBlock extends KnownBlock {
  readonly meta: BlockMeta;
}

function* findSameUlid(blocks: readonly ReadableBlock[]): Generator<Finding> {
  const first = new Map<string, string>();
  for (const { block, meta } of blocks) {
    const other = first.get(meta.ulid);
    if (other === undefined) first.set(meta.ulid, block);
    else {
      const text = `its ulid, ${meta.ulid}, is that of the block ${other}, too`;
      yield makeFinding("blocks-same-ulid", block, "meta.json", undefined, text);
    }
  }
}

/** Prometheus deletes the directory that has a parent's ULID as its name, readable or not. */
function* findSuperseded(
  blocks: readonly KnownBlock[],
  known: readonly ReadableBlock[],
): Generator<Finding> {
  const replacedBy = new Map<string, string>();
  for (const { block, meta } of known) {
    for (const parent of meta.compaction.parents) replacedBy.set(parent, block);
  }
  for (const { block } of blocks) {
    const by = replacedBy.get(block);
    if (by === undefined || by === block) continue;
    const text = `the block ${by} names it as one that it replaces`;
    yield makeFinding("blocks-superseded", block, "", undefined, text);
  }
}

function* findOverlaps(blocks: readonly ReadableBlock[]): Generator<Finding> {
  const ordered = blocks
    .filter(({ meta }) => !meta.compaction.hints.includes(LATE_SAMPLES))
    .toSorted((a, b) => a.meta.minTime - b.meta.minTime);
  let latest: ReadableBlock | undefined;
  for (const current of ordered) {
    const { block, meta } = current;
    if (latest !== undefined && meta.minTime < latest.meta.maxTime) {
      const until = timeText(Math.min(meta.maxTime, latest.meta.maxTime));
      const text = `it overlaps the block ${latest.block} from ${timeText(meta.minTime)} to ${until}`;
      yield makeFinding("blocks-overlap", block, "meta.json", undefined, text);
    }
    if (latest === undefined || meta.maxTime > latest.meta.maxTime) latest = current;
  }
}
