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
const BLOCK_NAME = new RegExp(ULID, "i");

/** Whether that is a ULID as Prometheus writes it: 26 characters of Crockford's base 32. */
export function isUlid(name: string): boolean {
  return ULID.test(name);
}

/** Whether a directory of this name is a block to Prometheus, which doesn't mind the letters' case. */
export function isBlockName(name: string): boolean {
  return BLOCK_NAME.test(name);
}

/**
 * Reads the text of a meta.json, as strictly as Prometheus does (Go's `encoding/json`: the case of
 * names doesn't matter, types do).
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
  const root = new Fields(json, "meta.json");
  const version = root.get("version");
  if (version !== 1 && version !== 2) {
    throw new Error(`meta.json has version ${JSON.stringify(version)}, not 1`);
  }
  const ulid = root.get("ulid");
  if (typeof ulid !== "string" || !isUlid(ulid)) throw new Error("meta.json has no valid ulid");
  const minTime = integer(root.get("minTime"), "minTime");
  const maxTime = integer(root.get("maxTime"), "maxTime");
  if (minTime > maxTime)
    throw new Error(`meta.json has minTime ${minTime} after maxTime ${maxTime}`);
  return {
    version,
    ulid,
    minTime,
    maxTime,
    stats: readStats(new Fields(root.get("stats") ?? {}, "stats")),
    compaction: readCompaction(new Fields(root.get("compaction") ?? {}, "compaction")),
  };
}

function readStats(stats: Fields): BlockStats {
  const count = (name: keyof BlockStats) => optionalCount(stats.get(name), name);
  return {
    numSamples: count("numSamples") ?? 0,
    numSeries: count("numSeries") ?? 0,
    numChunks: count("numChunks") ?? 0,
    numTombstones: count("numTombstones") ?? 0,
    numFloatSamples: count("numFloatSamples"),
    numHistogramSamples: count("numHistogramSamples"),
  };
}

function readCompaction(compaction: Fields): BlockCompaction {
  flag(compaction.get("failed"), "failed");
  return {
    level: optionalCount(compaction.get("level"), "compaction.level") ?? 0,
    sources: list(compaction.get("sources"), "sources").map((source) => ulidText(source)),
    parents: list(compaction.get("parents"), "parents").flatMap(parentUlid),
    deletable: flag(compaction.get("deletable"), "deletable"),
    hints: list(compaction.get("hints"), "hints").map((hint) => text(hint, "a hint")),
  };
}

function parentUlid(parent: unknown): string[] {
  const ulid = new Fields(parent, "a parent").get("ulid");
  return ulid === undefined || ulid === null ? [] : [ulidText(ulid)];
}

/** Prometheus looks at the length of a ULID alone, in bytes. */
function ulidText(value: unknown): string {
  const ulid = text(value, "a ulid");
  if (Buffer.byteLength(ulid) !== 26) throw new Error("meta.json: a ulid has not 26 characters");
  return ulid;
}

/** The fields of a JSON object, by their names in any case. */
class Fields {
  readonly #fields = new Map<string, unknown>();

  constructor(value: unknown, name: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Error(`meta.json: ${name} is not an object`);
    }
    for (const [key, field] of Object.entries(value)) this.#fields.set(key.toLowerCase(), field);
  }

  get(name: string): unknown {
    return this.#fields.get(name.toLowerCase());
  }
}

function list(value: unknown, name: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`meta.json: compaction.${name} is not a list`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new Error(`meta.json: ${name} is not a text`);
  return value;
}

function flag(value: unknown, name: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean")
    throw new Error(`meta.json: compaction.${name} is not true or false`);
  return value;
}

function integer(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value)) throw new Error(`meta.json: ${name} is not a whole number`);
  return Number(value);
}

function optionalCount(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const n = integer(value, name);
  if (n < 0) throw new Error(`meta.json: ${name} is negative`);
  return n;
}
