import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

/** A Prometheus process that answers queries. */
export interface RunningPrometheus {
  /** Without a slash at the end, as in `http://127.0.0.1:41123`. */
  readonly url: string;
  readonly dataDir: string;
  /** Made by Prometheus with its first snapshot. */
  readonly snapshotDir: string;
  readonly pid: number;
  /** The command it was started with. */
  readonly command: readonly string[];
  /** All it has logged so far. */
  log(): string;
  /** Ends it (SIGTERM, after 20 s SIGKILL) and waits until it is gone. Harmless when repeated. */
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  /** The program, as `findPrometheus` answers it. */
  readonly program: string;
  /** Where its configuration and log go, and the data unless `dataDir` says otherwise. Made if missing. */
  readonly directory: string;
  readonly dataDir?: string | undefined;
  /** Whether snapshots may be asked for; true unless said otherwise. */
  readonly adminApi?: boolean | undefined;
  /** Ends it, also while it starts. */
  readonly signal?: AbortSignal | undefined;
  /** A free one unless said otherwise. */
  readonly port?: number | undefined;
  /** Further arguments of the command line. */
  readonly args?: readonly string[] | undefined;
}

/**
 * Starts a Prometheus (2.x or 3.x) on a free loopback port and waits until it is ready and its head
 * block holds data. Throws with its log if it ends before that or takes longer than a minute.
 */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus> {
  // Another process may take the free port before Prometheus does; then we take another one.
  for (let attempt = 1; ; attempt++) {
    const started = launch(options, options.port ?? freePort());
    try {
      await untilReady(started);
      return started.running;
    } catch (error) {
      await started.running.stop();
      const taken = started.running.log().includes("address already in use");
      if (!taken || attempt === 5) throw error;
    }
  }
}

const HEARTBEAT = "heartbeat_time_seconds";

interface Launched {
  readonly child: Bun.Subprocess;
  readonly running: RunningPrometheus;
}

function launch(options: PrometheusOptions, port: number): Launched {
  const { directory } = options;
  const dataDir = options.dataDir ?? join(directory, "data");
  const logFile = join(directory, "prometheus.log");
  mkdirSync(directory, { recursive: true });
  const command = [
    options.program,
    `--config.file=${configure(directory, port)}`,
    `--storage.tsdb.path=${dataDir}`,
    `--web.listen-address=127.0.0.1:${port}`,
    ...((options.adminApi ?? true) ? ["--web.enable-admin-api"] : []),
    ...(options.args ?? []),
  ];
  const log = openSync(logFile, "w");
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: log,
    stderr: log,
    ...(options.signal && { signal: options.signal }),
  });
  closeSync(log);
  const running: RunningPrometheus = {
    url: `http://127.0.0.1:${port}`,
    dataDir,
    snapshotDir: join(dataDir, "snapshots"),
    pid: child.pid,
    command,
    log: () => (existsSync(logFile) ? readFileSync(logFile, "utf8") : ""),
    stop: () => end(child),
  };
  return { child, running };
}

/** A recording rule writes at once; the first scrape of a target comes 5 s after the start. */
function configure(directory: string, port: number): string {
  const rules = join(directory, "rules.yml");
  writeFileSync(
    rules,
    `groups: [{ name: heartbeat, interval: 200ms, rules: [{ record: ${HEARTBEAT}, expr: time() }] }]\n`,
  );
  const file = join(directory, "prometheus.yml");
  const target = `{ targets: ["127.0.0.1:${port}"] }`;
  writeFileSync(
    file,
    `rule_files: [${JSON.stringify(rules)}]
scrape_configs: [{ job_name: prometheus, scrape_interval: 1s, static_configs: [${target}] }]
`,
  );
  return file;
}

async function untilReady({ child, running }: Launched): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isReady(running.url))) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || Date.now() > deadline) {
      const what = ended ? "ended at once" : "was not ready within a minute";
      throw new Error(`${running.command.join(" ")} ${what}:\n${running.log()}`);
    }
    await Bun.sleep(20);
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    if (!(await fetch(`${url}/-/ready`)).ok) return false;
    const answer = await fetch(`${url}/api/v1/query?query=${HEARTBEAT}`);
    return (await answer.text()).includes(`"${HEARTBEAT}"`);
  } catch {
    return false; // It doesn't listen yet.
  }
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  await child.exited;
  clearTimeout(timer);
}
