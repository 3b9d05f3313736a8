import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { obtainNodeExporter, obtainPrometheus } from "../../scripts/prometheus.ts";

/** One series as exposed: `name{labels}`, whose it is, and a value per scrape; a hole if it wasn't there. */
export interface ScrapedSeries {
  readonly job: "node" | "prometheus";
  readonly key: string;
  readonly values: (string | undefined)[];
}

/** How far apart the scrapes are: long enough for counters to count. */
const INTERVAL_MS = 150;

/** Runs a real Prometheus, which scrapes itself and a node_exporter, and watches what both expose. */
export async function scrapeExporters(scrapes: number): Promise<ScrapedSeries[]> {
  const directory = mkdtempSync(join(tmpdir(), "prombackup-bench-"));
  const ports = { node: freePort(), prometheus: freePort() };
  const children = [
    start([await obtainNodeExporter(), `--web.listen-address=127.0.0.1:${ports.node}`]),
    start([
      (await obtainPrometheus()).prometheus,
      `--config.file=${configure(directory, ports)}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${ports.prometheus}`,
    ]),
  ];
  try {
    for (const port of Object.values(ports)) await untilUp(metricsUrl(port));
    return await watch(ports, scrapes);
  } finally {
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exited));
    rmSync(directory, { recursive: true, force: true });
  }
}

type Ports = Readonly<Record<ScrapedSeries["job"], number>>;

const JOBS = ["node", "prometheus"] as const;

function start(command: string[]): Bun.Subprocess {
  return Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
}

function configure(directory: string, ports: Ports): string {
  const jobs = JOBS.map(
    (job) =>
      `{ job_name: ${job}, static_configs: [{ targets: ["127.0.0.1:${ports[job]}"] }], scrape_interval: 1s }`,
  );
  const file = join(directory, "prometheus.yml");
  writeFileSync(file, `scrape_configs: [${jobs.join(", ")}]\n`);
  return file;
}

async function watch(ports: Ports, scrapes: number): Promise<ScrapedSeries[]> {
  const found = new Map<string, ScrapedSeries>();
  for (let scrape = 0; scrape < scrapes; scrape++) {
    const next = Bun.sleep(INTERVAL_MS);
    for (const job of JOBS) {
      const exposed = await (await fetch(metricsUrl(ports[job]))).text();
      for (const [key, value] of samples(exposed)) {
        const id = `${job} ${key}`;
        const series = found.get(id) ?? { job, key, values: new Array(scrapes).fill(undefined) };
        series.values[scrape] = value;
        found.set(id, series);
      }
    }
    await next;
  }
  return [...found.values()];
}

function* samples(exposed: string): Generator<[key: string, value: string]> {
  for (const line of exposed.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const space = line.lastIndexOf(" ");
    yield [line.slice(0, space), line.slice(space + 1)];
  }
}

function metricsUrl(port: number): string {
  return `http://127.0.0.1:${port}/metrics`;
}

async function untilUp(url: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await fetch(url).catch(() => undefined))?.ok) {
    if (Date.now() > deadline) throw new Error(`${url} doesn't answer`);
    await Bun.sleep(50);
  }
}
