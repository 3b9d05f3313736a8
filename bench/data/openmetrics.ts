import { closeSync, openSync, writeSync } from "node:fs";
import type { ScrapedSeries } from "./exporters.ts";

/** Samples every 15 seconds. The times are those of full two hours: 2023-11-15, from 04:00. */
const STEP_SECONDS = 15;
const START = 1_700_020_800;

/** So many series, whose every sample is another float, in OpenMetrics' text format. */
export interface Dense {
  readonly series: number;
  readonly samples: number;
}

/**
 * Values change their sign and exponent all the time: 8.4 bytes a sample. One series in ten has two
 * decimals, by which the whole is as compressible as the random walk that the older figures are of:
 * 0.90 by gzip -6.
 */
export function writeDense(file: string, { series, samples }: Dense): void {
  const random = seeded(1);
  write(file, function* () {
    for (let i = 0; i < series; i++) {
      const text = (value: number) => (i % 10 === 0 ? value.toFixed(2) : String(value));
      // 53 bits, as Math.random() has: the generator makes 32 at a time.
      const values = Array.from({ length: samples }, () =>
        text(2 * random() - 1 + random() / 2 ** 32),
      );
      yield lines(`dense{series="${i}"}`, values);
    }
  });
}

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

function lines(key: string, values: readonly (string | undefined)[]): string {
  let text = "";
  for (const [i, value] of values.entries()) {
    if (value !== undefined) text += `${key} ${value} ${START + i * STEP_SECONDS}\n`;
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
