import { closeSync, openSync, writeSync } from "node:fs";
import type { ScrapedSeries } from "./exporters.ts";

/** Of most exporters. */
const STEP_SECONDS = 15;
/** Full two hours: 2023-11-15, 04:00. */
const START = 1_700_020_800;

/** So many series, each a random walk, in OpenMetrics' text format. */
export interface Dense {
  readonly series: number;
  readonly samples: number;
  readonly stepSeconds: number;
}

/**
 * Each value is some dozens or hundreds from the one before: two bytes a sample, with little in them
 * to compress. How far apart they are was chosen so that the whole is as compressible as the random
 * walk that the older figures are of: 0.89 by zstd -1, 0.88 by gzip.
 */
export function writeDense(file: string, { series, samples, stepSeconds }: Dense): void {
  const random = seeded(1);
  write(file, function* () {
    for (let i = 0; i < series; i++) {
      let value = Math.round(1000 * random());
      const values = Array.from({ length: samples }, () => {
        value += Math.round(LARGEST_STEP * (random() + random() + random() - 1.5));
        return String(value);
      });
      yield lines(`dense{series="${i}"}`, values, stepSeconds);
    }
  });
}

const LARGEST_STEP = 200;

/** A fleet of hosts which expose the same series. */
export interface Fleet {
  readonly hosts: number;
  readonly samples: number;
  /**
   * Of the series of a host, how many go at a pace of their own. By this the data are made as
   * compressible as a real head block of 72,000 series was: 0.34 by zstd in frames of 8 MiB.
   */
  readonly ownPace: number;
}

/**
 * What a fleet would have exposed. Each host plays another part of what was scraped from the real
 * exporters, and some of its series faster or slower than there.
 */
export function writeFleet(file: string, scraped: readonly ScrapedSeries[], fleet: Fleet): void {
  const { hosts, samples, ownPace } = fleet;
  const random = seeded(1);
  write(file, function* () {
    for (let host = 0; host < hosts; host++) {
      const instance = `instance="host-${String(host).padStart(3, "0")}.example.org:9100"`;
      for (const series of scraped) {
        const from = Math.floor((host * (series.values.length - samples)) / hosts);
        const values = series.values.slice(from, from + samples);
        const pace = random() < ownPace ? 0.4 + 1.6 * random() : 1;
        yield lines(withLabels(series, instance), atPace(values, pace));
      }
    }
  });
}

const FLUSH_AT = 1024 * 1024;

function write(file: string, content: () => Iterable<string>): void {
  const output = openSync(file, "w");
  try {
    let text = "";
    for (const part of content()) {
      text += part;
      if (text.length < FLUSH_AT) continue;
      writeSync(output, text);
      text = "";
    }
    writeSync(output, `${text}# EOF\n`);
  } finally {
    closeSync(output);
  }
}

function lines(
  key: string,
  values: readonly (string | undefined)[],
  stepSeconds = STEP_SECONDS,
): string {
  let text = "";
  for (const [i, value] of values.entries()) {
    if (value !== undefined) text += `${key} ${value} ${START + i * stepSeconds}\n`;
  }
  return text;
}

function withLabels({ key, job }: ScrapedSeries, instance: string): string {
  const more = `${instance},job="${job}"}`;
  return key.endsWith("}") ? `${key.slice(0, -1)},${more}` : `${key}{${more}`;
}

/** Values that move from the first one as the given ones do, times a factor, in as many digits. */
function atPace(values: readonly (string | undefined)[], pace: number): (string | undefined)[] {
  const first = values[0];
  return values.map((value) => {
    if (pace === 1 || value === undefined || first === undefined || value === first) return value;
    const moved = Number(first) + (Number(value) - Number(first)) * pace;
    if (!Number.isFinite(moved)) return value;
    const digits = /^-?\d+(?:\.(\d+))?$/.exec(value);
    return digits === null ? String(moved) : moved.toFixed(digits[1]?.length ?? 0);
  });
}

/** Numbers from 0 to below 1, the same in each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
