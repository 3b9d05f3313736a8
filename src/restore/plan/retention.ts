import type { BlockMeta } from "../../tsdb/meta.ts";

/** What Prometheus keeps. Undefined: without limit. */
export interface Retention {
  /** Milliseconds. */
  readonly time: number | undefined;
  readonly bytes: number | undefined;
  /** Of the file system. */
  readonly percentage: number | undefined;
}

/** What Prometheus keeps if it is told nothing, in its own words. */
export const DEFAULT_RETENTION = "15d";

/** A block that retention will delete. */
export interface Doomed {
  readonly block: string;
  /** The limit that it is beyond. */
  readonly limit: keyof Retention;
}

interface DatedBlock {
  readonly block: string;
  readonly meta: BlockMeta | undefined;
  readonly bytes: number;
}

/**
 * Which blocks Prometheus will delete within hours of its start: `BeyondTimeRetention` and
 * `BeyondSizeRetention` of prometheus/prometheus `tsdb/db.go`. Time counts from the end of the newest
 * block, and there will be one of now as soon as it has run for three hours. Its write-ahead log
 * counts as size, too, and isn't known here.
 *
 * @param now milliseconds since 1970
 * @param diskBytes the size of the file system
 */
export function forecast(
  blocks: readonly DatedBlock[],
  { time, bytes, percentage }: Retention,
  now: number,
  diskBytes: number,
): Doomed[] {
  const ends = ({ meta }: DatedBlock) => meta?.maxTime ?? Number.NEGATIVE_INFINITY;
  const sorted = blocks
    .filter(({ meta }) => meta !== undefined)
    .toSorted((a, b) => ends(b) - ends(a));
  const newest = sorted[0] === undefined ? now : Math.max(now, ends(sorted[0]));
  const limit = percentage === undefined ? bytes : Math.floor((percentage * diskBytes) / 100);
  const doomed: Doomed[] = [];
  let size = 0;
  for (const block of sorted) {
    size += block.bytes;
    if (time !== undefined && newest - ends(block) >= time)
      doomed.push({ block: block.block, limit: "time" });
    else if (limit !== undefined && size > limit) {
      const by = percentage === undefined ? "bytes" : "percentage";
      doomed.push({ block: block.block, limit: by });
    }
  }
  return doomed;
}

const DURATION = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const UNIT_MS = [365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1];

/**
 * A duration as Prometheus writes it: `15d`, `1y6w`, `0s` (prometheus/common `model/time.go`).
 *
 * @returns milliseconds; undefined if it is none
 */
export function parsePrometheusDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const parts = DURATION.exec(text);
  if (parts === null || text === "") return undefined;
  return UNIT_MS.reduce((sum, unit, i) => sum + unit * Number(parts[i + 1] ?? 0), 0);
}

const SIZE_PART = /(\d+(?:\.\d+)?)([KMGTPE]?)i?B/g;

/** `512MB`, `1GiB512MiB`: powers of 1024 in either spelling, as Prometheus reads and writes them. */
export function parsePrometheusSize(text: string): number | undefined {
  const parts = [...text.matchAll(SIZE_PART)];
  if (text === "" || parts.map(([part]) => part).join("") !== text) return undefined;
  const bytes = parts.map(
    ([, number, unit]) => Number(number) * 1024 ** (unit ? "KMGTPE".indexOf(unit) + 1 : 0),
  );
  return Math.floor(bytes.reduce((sum, part) => sum + part));
}

/**
 * Reads `--retention`: a duration, a size, a percentage, or several of them with commas between.
 *
 * @throws Error that says what is wrong with it
 */
export function parseRetention(limits: string): Retention {
  let retention: Retention = { time: undefined, bytes: undefined, percentage: undefined };
  for (const text of limits.split(",")) {
    const time = parsePrometheusDuration(text);
    const bytes = parsePrometheusSize(text);
    const percentage = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
    if (time !== undefined) retention = { ...retention, time: time || undefined };
    else if (bytes !== undefined) retention = { ...retention, bytes: bytes || undefined };
    else if (percentage !== undefined) retention = { ...retention, percentage: Number(percentage) };
    else throw new Error(`${JSON.stringify(text)} is neither a time (30d), a size (50GB) nor a %`);
  }
  return retention;
}
