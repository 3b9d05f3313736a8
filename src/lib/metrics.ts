/**
 * Metrics in Prometheus's text format, version 0.0.4
 * (prometheus/docs, content/docs/instrumenting/exposition_formats.md).
 */

export type Labels = Readonly<Record<string, string>>;

interface Sample {
  /** Behind the metric's name: `_bucket`. */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** A family of time series of one name. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  samples(): readonly Sample[];
}

/** The text of metrics, and their media type. */
export function exposition(metrics: readonly Metric[]): string {
  return metrics.map(family).join("");
}

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

function family(metric: Metric): string {
  const { name, type, help } = metric;
  const lines = metric.samples().map(({ suffix = "", labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    const set = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
    return `${name}${suffix}${set} ${value}\n`;
  });
  if (lines.length === 0) return "";
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");
}

/** A value as it is now; undefined if it isn't known, and then nothing is told. */
export function gauge(
  name: string,
  help: string,
  value: number | undefined,
  labels: Labels = {},
): Metric {
  return {
    name,
    type: "gauge",
    help,
    samples: () => (value === undefined ? [] : [{ labels, value }]),
  };
}

/** Counts, by labels. */
export class Counter implements Metric {
  readonly type = "counter";
  private readonly counts = new Map<string, { readonly labels: Labels; value: number }>();

  /** @param known label values that are told from the start, as 0: else the first increase is missed */
  constructor(
    readonly name: string,
    readonly help: string,
    known: readonly Labels[] = [{}],
  ) {
    for (const labels of known) this.add(labels, 0);
  }

  add(labels: Labels, by = 1): void {
    const key = JSON.stringify(labels);
    const count = this.counts.get(key);
    if (count === undefined) this.counts.set(key, { labels, value: by });
    else count.value += by;
  }

  samples(): readonly Sample[] {
    return [...this.counts.values()];
  }
}

/** Counts what was observed by its size, for each set of labels. */
export class Histogram implements Metric {
  readonly type = "histogram";
  private readonly series = new Map<string, Series>();

  /** @param bounds upper ones, ascending, of all buckets but the last */
  constructor(
    readonly name: string,
    readonly help: string,
    private readonly bounds: readonly number[],
    known: readonly Labels[] = [{}],
  ) {
    for (const labels of known) this.find(labels);
  }

  observe(labels: Labels, value: number): void {
    const series = this.find(labels);
    series.sum += value;
    series.count++;
    this.bounds.forEach((bound, i) => {
      if (value <= bound) series.buckets[i] = (series.buckets[i] ?? 0) + 1;
    });
  }

  samples(): readonly Sample[] {
    return [...this.series.values()].flatMap(({ labels, buckets, sum, count }) => {
      const bucket = (le: string, value: number) => ({
        suffix: "_bucket",
        labels: { ...labels, le },
        value,
      });
      return [
        ...this.bounds.map((bound, i) => bucket(String(bound), buckets[i] ?? 0)),
        bucket("+Inf", count),
        { suffix: "_sum", labels, value: sum },
        { suffix: "_count", labels, value: count },
      ];
    });
  }

  private find(labels: Labels): Series {
    const key = JSON.stringify(labels);
    const found = this.series.get(key);
    if (found !== undefined) return found;
    const made = { labels, buckets: [], sum: 0, count: 0 };
    this.series.set(key, made);
    return made;
  }
}

interface Series {
  readonly labels: Labels;
  /** Each holds what is in those below it as well. */
  readonly buckets: number[];
  sum: number;
  count: number;
}
