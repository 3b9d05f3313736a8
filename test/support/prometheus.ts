import { findPrometheus } from "../../scripts/prometheus.ts";
import {
  type PrometheusOptions,
  type RunningPrometheus,
  startPrometheus as start,
} from "../../scripts/run-prometheus.ts";
import { type MadeData, makeBlocks as make, type SampleData } from "../../scripts/sample-data.ts";
import { atEnd } from "./at-end.ts";
import { tempDir } from "./temp.ts";

/** Keeps blocks as they are, whatever their age: none is compacted or removed behind a test's back. */
const KEEP_BLOCKS = [
  "--storage.tsdb.retention.time=10y",
  "--storage.tsdb.min-block-duration=2h",
  "--storage.tsdb.max-block-duration=2h",
];

export { queryRange } from "../../scripts/query.ts";

/**
 * Starts a real Prometheus with an empty data directory of its own, or on `dataDir`. It ends with
 * the test, or with the test file when called outside of a test. Needs the tool `prometheus`.
 */
export async function startPrometheus(
  options: Omit<PrometheusOptions, "program" | "directory"> & { readonly directory?: string } = {},
): Promise<RunningPrometheus> {
  const running = await start({
    program: program("prometheus"),
    directory: tempDir(),
    ...options,
    args: [...KEEP_BLOCKS, ...(options.args ?? [])],
  });
  atEnd(() => running.stop());
  return running;
}

/** Makes real blocks of two hours each, by default in a new directory. Needs the tool `promtool`. */
export async function makeBlocks(
  data: SampleData & { readonly dataDir?: string },
): Promise<MadeData & { readonly dataDir: string }> {
  const dataDir = data.dataDir ?? tempDir();
  return { dataDir, ...(await make(program("promtool"), dataDir, data)) };
}

function program(name: "prometheus" | "promtool"): string {
  const path = findPrometheus(name);
  if (path === undefined) throw new Error(`no ${name}: guard the test by needs("${name}")`);
  return path;
}
