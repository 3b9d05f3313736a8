import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../../scripts/prometheus.ts";
import { atEnd } from "../../support/at-end.ts";
import { tempDir } from "../../support/temp.ts";

/**
 * Starts a real Prometheus that compacts all the time: its blocks are of two seconds, its segments of
 * 1 MB. It scrapes a series whose samples come partly in the wrong order, and stops with the test.
 */
export function compactingPrometheus(dataDir: string): { log(): string; stop(): Promise<void> } {
  const program = findPrometheus("prometheus");
  if (program === undefined)
    throw new Error('no prometheus: guard the test by needs("prometheus")');
  const directory = tempDir();
  const target = serveLateSamples();
  writeFileSync(
    join(directory, "prometheus.yml"),
    [
      "global: { scrape_interval: 1s }",
      "storage: { tsdb: { out_of_order_time_window: 1h } }",
      "scrape_configs:",
      `  - { job_name: late, static_configs: [{ targets: ["127.0.0.1:${target.port}"] }] }`,
    ].join("\n"),
  );
  const logFile = join(directory, "log");
  const log = openSync(logFile, "w");
  const child = Bun.spawn(
    [
      program,
      `--config.file=${join(directory, "prometheus.yml")}`,
      `--storage.tsdb.path=${dataDir}`,
      "--web.listen-address=127.0.0.1:0",
      "--storage.tsdb.retention.time=10y",
      "--storage.tsdb.min-block-duration=2s",
      "--storage.tsdb.max-block-duration=1d",
      "--storage.tsdb.max-block-chunk-segment-size=1MB",
    ],
    { stdin: "ignore", stdout: log, stderr: log },
  );
  const stop = async () => {
    child.kill("SIGTERM");
    await child.exited;
    await target.stop(true);
  };
  atEnd(stop);
  return { log: () => readFileSync(logFile, "utf8"), stop };
}

/** Serves two series at each scrape: one of now, and one up to five seconds late. */
function serveLateSamples(): Bun.Server<undefined> {
  let scrapes = 0;
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      scrapes++;
      const now = Date.now();
      const late = now - (scrapes % 6) * 1000;
      const type = { "content-type": "text/plain; version=0.0.4" };
      return new Response(`now ${scrapes} ${now}\nlate ${scrapes} ${late}\n`, { headers: type });
    },
  });
}
