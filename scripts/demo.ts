import { mkdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { errorText } from "../src/lib/errors.ts";
import { heading, note, showCommand } from "./demo-screen.ts";
import { DemoShell } from "./demo-shell.ts";
import { obtainPrometheus } from "./prometheus.ts";
import { queryRange } from "./query.ts";
import type { RunningPrometheus } from "./run-prometheus.ts";
import { type MadeData, writeMetrics } from "./sample-data.ts";
import { installDependencies } from "./setup.ts";

const SOURCES = resolve(import.meta.dir, "../src");
const BACKUPS = { tar: "backup.tar", tgz: "backup.tar.gz", tzst: "backup.tar.zst" };

/** The main job on a real Prometheus, each step as one would type it. */
async function tell(shell: DemoShell): Promise<void> {
  heading("A real Prometheus with six hours of data");
  const data = writeMetrics(join(shell.directory, "metrics.txt"), { hours: 6, series: 5 });
  const makeBlocks = ["tsdb", "create-blocks-from", "openmetrics"];
  await shell.run("promtool", ...makeBlocks, "metrics.txt", "prometheus/data");
  const original = await shell.startPrometheus("prometheus");

  heading("The server beside it");
  const server = await shell.startServer(
    ...["--listen-address", "127.0.0.1:0"],
    ...["--prometheus-endpoint", original.url],
    ...["--snapshot-dir", relative(shell.directory, original.snapshotDir)],
  );
  shell.export("PROMBACKUP_ENDPOINT", server);

  for (const [format, file] of Object.entries(BACKUPS)) {
    heading(`A backup as ${format}: taken and proven, then checked once more`);
    const target = ["--format", format, "--output", file];
    await shell.run("prombackup", "create", ...target, "--checksum-file");
    await shell.run("prombackup", "verify", file);
  }

  heading("The snapshots have served their purpose");
  await shell.run("prombackup", "list");
  await shell.run("prombackup", "prune", "--keep-within", "0");
  await shell.run("prombackup", "list");

  heading("Plain tar can extract a backup, and Prometheus starts on it");
  makeDirectory(shell, "extracted/data");
  await shell.run("tar", "-xzf", BACKUPS.tgz, "-C", "extracted/data", "--strip-components=1");
  const extracted = await shell.startPrometheus("extracted");
  await compare(shell, original, extracted, data);

  heading("A restore: planned, checked while it is extracted, put in place in one step");
  makeDirectory(shell, "restored");
  const target = ["--data-dir", "restored/data"];
  await shell.run("prombackup", "restore", BACKUPS.tzst, ...target);
  const restored = await shell.startPrometheus("restored");
  const check = ["--prometheus-endpoint", restored.url, "--check"];
  await shell.run("prombackup", "restore", BACKUPS.tzst, ...target, ...check);

  heading("The same question to the original and the restored one");
  await compare(shell, original, restored, data);
}

function makeDirectory(shell: DemoShell, path: string): void {
  showCommand(["mkdir", "-p", path]);
  mkdirSync(join(shell.directory, path), { recursive: true });
}

/** Throws if the two don't answer the same. */
async function compare(
  shell: DemoShell,
  original: RunningPrometheus,
  restored: RunningPrometheus,
  { start, end }: MadeData,
): Promise<void> {
  const range = [`--start=${seconds(start)}`, `--end=${seconds(end)}`, "--step=1h"];
  const ask = (url: string) =>
    shell.run("promtool", "query", "range", ...range, url, "sum(demo_requests_total)");
  const [answer, again] = [await ask(original.url), await ask(restored.url)];

  // Beyond what fits on the screen: each sample of each series.
  const all = (url: string) => queryRange(url, '{__name__=~"demo_.*"}', start, end, 30);
  const [series, copies] = [await all(original.url), await all(restored.url)];
  const samples = series.reduce((sum, { values }) => sum + values.length, 0);
  if (answer !== again || samples === 0 || !Bun.deepEquals(series, copies)) {
    throw new Error("the two Prometheus servers answer differently");
  }
  note(`the same answers, down to each of ${samples} samples in ${series.length} series`);
}

function seconds(time: Date): string {
  return String(time.getTime() / 1000);
}

async function main(signal: AbortSignal): Promise<void> {
  const started = performance.now();
  await installDependencies();
  const { prometheus, promtool } = await obtainPrometheus();
  const programs = {
    prometheus: [prometheus],
    promtool: [promtool],
    prombackup: [process.execPath, join(SOURCES, "cli.ts")],
    "prombackup-server": [process.execPath, join(SOURCES, "server.ts")],
  };
  const shell = new DemoShell(programs, signal);
  try {
    await tell(shell);
  } finally {
    await shell.close();
  }
  note(`done in ${Math.round((performance.now() - started) / 1000)} s; nothing was left behind`);
}

const interrupt = new AbortController();
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.on(signal, () => {
    process.exitCode = status;
    interrupt.abort();
  });
}
try {
  await main(interrupt.signal);
} catch (error) {
  if (!interrupt.signal.aborted) {
    console.error(`demo: ${errorText(error)}`);
    process.exitCode = 1;
  }
}
