/**
 * A block's `meta.json`, as Prometheus writes it (prometheus/prometheus `tsdb/block.go`, type
 * `BlockMeta`): tab-indented JSON, version 1, times in milliseconds, a half-open range.
 */
export interface BlockMeta {
  /** 1; or 2, which Prometheus 2.1 wrote by mistake and later ones correct at start-up. */
  readonly version: 1 | 2;
  readonly ulid: string;
  /** First millisecond of the block's range. */
  readonly minTime: number;
  /** First millisecond after the block's range. */
  readonly maxTime: number;
  readonly stats: BlockStats;
  readonly compaction: BlockCompaction;
}

/** Counts that Prometheus leaves out when they are 0. */
export interface BlockStats {
  readonly numSamples: number;
  readonly numSeries: number;
  readonly numChunks: number;
  readonly numTombstones: number;
  /** Written since Prometheus 3.6, if there are any; undefined in older blocks. */
  readonly numFloatSamples: number | undefined;
  readonly numHistogramSamples: number | undefined;
}

export interface BlockCompaction {
  readonly level: number;
  /** ULIDs of the blocks of level 1 whose samples this one holds; its own at level 1. */
  readonly sources: readonly string[];
  /** ULIDs of the blocks that this one was compacted from. Prometheus deletes them at load. */
  readonly parents: readonly string[];
  /** True: Prometheus deletes this block at load. */
  readonly deletable: boolean;
  /** How the block came about if not in the usual way, as `from-out-of-order`. */
  readonly hints: readonly string[];
}

/** A meta.json larger than this is refused: real ones have some hundred bytes to some kilobytes. */
export const MAX_META_BYTES = 4 * 1024 * 1024;

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/** Whether a directory of this name is a block to Prometheus: 26 characters of Crockford's base 32. */
export function isUlid(name: string): boolean {
  return ULID.test(name);
}

/**
 * Reads the text of a meta.json.
 *
 * @throws Error that says what is wrong with it; such a block is silently absent from Prometheus.
 */
export function parseBlockMeta(text: string): BlockMeta {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error("meta.json is not JSON", { cause });
  }
  const root = object(json, "meta.json");
  const version = root["version"];
  if (version !== 1 && version !== 2) {
    throw new Error(`meta.json has version ${JSON.stringify(version)}, not 1`);
  }
  const ulid = root["ulid"];
  if (typeof ulid !== "string" || !isUlid(ulid)) throw new Error("meta.json has no valid ulid");
  const minTime = integer(root["minTime"], "minTime");
  const maxTime = integer(root["maxTime"], "maxTime");
  if (minTime > maxTime)
    throw new Error(`meta.json has minTime ${minTime} after maxTime ${maxTime}`);
  const stats = object(root["stats"] ?? {}, "stats");
  const compaction = object(root["compaction"] ?? {}, "compaction");
  return {
    version,
    ulid,
    minTime,
    maxTime,
    stats: {
      numSamples: count(stats["numSamples"], "numSamples"),
      numSeries: count(stats["numSeries"], "numSeries"),
      numChunks: count(stats["numChunks"], "numChunks"),
      numTombstones: count(stats["numTombstones"], "numTombstones"),
      numFloatSamples: optionalCount(stats["numFloatSamples"], "numFloatSamples"),
      numHistogramSamples: optionalCount(stats["numHistogramSamples"], "numHistogramSamples"),
    },
    compaction: {
      level: count(compaction["level"], "compaction.level"),
      sources: texts(compaction["sources"], "sources"),
      parents: parents(compaction["parents"]),
      deletable: compaction["deletable"] === true,
      hints: texts(compaction["hints"], "hints"),
    },
  };
}

function parents(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error("meta.json: compaction.parents is not a list");
  return value.map((parent: unknown) => {
    const ulid = object(parent, "compaction.parents")["ulid"];
    if (typeof ulid !== "string") throw new Error("meta.json: a parent has no ulid");
    return ulid;
  });
}

function texts(value: unknown, name: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`meta.json: compaction.${name} is not a list`);
  return value.filter((text: unknown) => typeof text === "string");
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`meta.json: ${name} is not an object`);
  }
  return { ...value };
}

function integer(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value)) throw new Error(`meta.json: ${name} is not a whole number`);
  return Number(value);
}

function count(value: unknown, name: string): number {
  return optionalCount(value, name) ?? 0;
}

function optionalCount(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const n = integer(value, name);
  if (n < 0) throw new Error(`meta.json: ${name} is negative`);
  return n;
}
