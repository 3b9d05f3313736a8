import { errorText } from "../lib/errors.ts";
import type { Findings } from "./findings.ts";
import type { TimeSpan } from "./index/series-entry.ts";
import { timeText } from "./index/series-text.ts";
import { type BlockMeta, isBlockName, isUlid, MAX_META_BYTES, parseBlockMeta } from "./meta.ts";

const FILE = "meta.json";

/** Keeps a meta.json as it arrives, up to the size that one can have. */
export class MetaFile {
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  push(bytes: Uint8Array): void {
    this.#size += bytes.length;
    if (this.#size <= MAX_META_BYTES) this.#pieces.push(new Uint8Array(bytes));
  }

  end(): void {}

  /** Throws as {@link parseBlockMeta}. */
  parse(): BlockMeta {
    if (this.#size > MAX_META_BYTES) throw new Error(`meta.json has ${this.#size} bytes`);
    return parseBlockMeta(Buffer.concat(this.#pieces).toString());
  }
}

/**
 * Checks what meta.json says of the block by itself.
 *
 * @param file undefined if there is none.
 * @returns its content, if Prometheus would read it.
 */
export function checkMeta(
  block: string,
  file: MetaFile | undefined,
  findings: Findings,
): BlockMeta | undefined {
  if (!isBlockName(block)) {
    findings.add("block-name", "", undefined, "the directory's name is not a ULID");
  } else if (!isUlid(block)) {
    const text =
      "Prometheus takes it for a block, but writes the directory's name in upper case alone";
    findings.add("block-name-case", "", undefined, text);
  }
  const meta = readMeta(file, findings);
  if (meta === undefined) return undefined;
  const { minTime, maxTime } = meta;
  if (meta.ulid !== block.toUpperCase() && isBlockName(block)) {
    const text = `the block is ${meta.ulid} by its meta.json, not ${block} as its directory`;
    findings.add("block-name-differs", FILE, undefined, text);
  }
  if (meta.version === 2) {
    const text = "its version is 2, a mistake that Prometheus 2.1 made";
    findings.add("meta-version", FILE, undefined, text);
  }
  if (minTime >= maxTime) {
    const text = `its time range, ${timeText(minTime)} to ${timeText(maxTime)}, is empty`;
    findings.add("meta-range", FILE, undefined, text);
  }
  const oddity = oddityOf(meta);
  if (oddity !== undefined) findings.add("meta-unusual", FILE, undefined, oddity);
  if (meta.compaction.deletable) {
    findings.add("meta-deletable", FILE, undefined, "it marks the block as deletable");
  }
  return meta;
}

/** What Prometheus doesn't look at, but no writer leaves out. */
function oddityOf({ compaction }: BlockMeta): string | undefined {
  if (compaction.level < 1) return "it gives the block no compaction level";
  if (compaction.sources.length === 0) return "it gives the block no sources";
  const others = [...compaction.sources, ...compaction.parents];
  return others.every(isUlid) ? undefined : "one of the block's sources or parents is no ULID";
}

function readMeta(file: MetaFile | undefined, findings: Findings): BlockMeta | undefined {
  if (file === undefined) {
    findings.add("meta-missing", FILE, undefined, "the block has no meta.json");
    return undefined;
  }
  try {
    return file.parse();
  } catch (error) {
    findings.add("meta-invalid", FILE, undefined, errorText(error));
    return undefined;
  }
}

/** What the block's files hold; undefined what damage keeps from being known. */
export interface BlockContent {
  readonly series: number | undefined;
  readonly chunks: number | undefined;
  readonly floatSamples: number | undefined;
  readonly histogramSamples: number | undefined;
  readonly tombstones: number | undefined;
}

/**
 * How far a block may be said to reach beyond its samples: up to two hours if it comes from the head,
 * and as far as it is long, which is 31 days at most, if samples were deleted from it and compacted away.
 */
const LARGEST_SLACK = 31 * 24 * 3600 * 1000;

/**
 * Compares the range of time that meta.json tells with that of the samples, which is known to lie
 * within it.
 */
export function compareRange(meta: BlockMeta, samples: TimeSpan, findings: Findings): void {
  if (meta.maxTime - samples.last > LARGEST_SLACK) {
    const text = `its time range ends at ${timeText(meta.maxTime)}, but its samples at ${timeText(samples.last)}`;
    findings.add("meta-range-late", FILE, undefined, text);
  }
  if (samples.first - meta.minTime > LARGEST_SLACK) {
    const text = `its time range begins at ${timeText(meta.minTime)}, but its samples at ${timeText(samples.first)}`;
    findings.add("meta-unusual", FILE, undefined, text);
  }
}

/** Compares meta.json's counts with what the block holds. Prometheus itself never does. */
export function compareCounts(meta: BlockMeta, content: BlockContent, findings: Findings): void {
  const { stats } = meta;
  const compare = (name: string, announced: number, found: number | undefined) => {
    if (found === undefined || found === announced) return;
    const kind = name === "tombstones" ? "tombstones-content" : "meta-counts";
    const text = `meta.json announces ${announced} ${name}, and the block has ${found}`;
    findings.add(kind, FILE, undefined, text);
  };
  const { floatSamples, histogramSamples } = content;
  const known = floatSamples !== undefined && histogramSamples !== undefined;
  compare("series", stats.numSeries, content.series);
  compare("chunks", stats.numChunks, content.chunks);
  compare("samples", stats.numSamples, known ? floatSamples + histogramSamples : undefined);
  // Either is left out when it is 0, and both are by a Prometheus before 3.6.
  if (stats.numFloatSamples !== undefined || stats.numHistogramSamples !== undefined) {
    compare("float samples", stats.numFloatSamples ?? 0, floatSamples);
    compare("histogram samples", stats.numHistogramSamples ?? 0, histogramSamples);
  }
  compare("tombstones", stats.numTombstones, content.tombstones);
}
