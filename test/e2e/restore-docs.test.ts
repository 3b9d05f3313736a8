import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { blockNames } from "../restore/support.ts";
import { atEnd } from "../support/at-end.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

needs("prometheus", "promtool");
const page = readFileSync(join(import.meta.dir, "../../docs/restore.md"), "utf8");

const { dataDir, start, end } = await makeBlocks({ hours: 4, series: 10 });
const original = await startPrometheus({ dataDir });
const backup = join(tempDir(), "prometheus.tar.zst");
const local = ["--snapshot-dir", original.snapshotDir, "--prometheus-endpoint", original.url];
await run("prombackup", ["create", ...local, "--format", "tzst", "--output", backup]);
const answers = (url: string) => queryRange(url, '{__name__=~"demo_.*"}', start, end, 30);
const expected = await answers(original.url);

/** The commands of a section, block by block. */
function commands(title: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? "";
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
}

/**
 * A machine as the page has it: programs of its names on the PATH, of which systemctl and docker start
 * and stop a real Prometheus.
 */
class Machine {
  readonly dataDir = join(tempDir(), "metrics2");
  readonly #bin = tempDir();
  readonly #port = freePort();

  constructor() {
    const pidFile = join(this.#bin, "pid");
    mkdirSync(this.dataDir);
    writeFileSync(join(this.#bin, "prometheus.yml"), "");
    const stop = `if [ -f ${pidFile} ]; then pid=$(cat ${pidFile}); kill $pid; while [ -d /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.02; done; rm ${pidFile}; fi`;
    const startIt = `${findPrometheus("prometheus")} --config.file=${this.#bin}/prometheus.yml --storage.tsdb.path=${this.dataDir} --storage.tsdb.retention.time=10y --web.listen-address=127.0.0.1:${this.#port} >${this.#bin}/log 2>&1 </dev/null & echo $! >${pidFile}`;
    const service = `case "$1 $2" in
      "stop prometheus") ${stop} ;;
      "start prometheus") ${startIt} ;;
      "restart prometheus") ${stop}; ${startIt} ;;
      *) echo "what is $*?" >&2; exit 1 ;;
    esac`;
    this.#program("systemctl", service);
    const inspect = "volume inspect --format {{ .Mountpoint }} prometheus-data";
    this.#program("docker", `[ "$*" = "${inspect}" ] && exec echo ${this.dataDir}\n${service}`);
    this.#program("ssh", '[ "$1" = backup.example ] && shift && exec "$@"');
    this.#program("prombackup", `exec ${commandLine("prombackup", []).join(" ")} "$@"`);
    atEnd(() => this.service("stop"));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async service(verb: "start" | "stop"): Promise<void> {
    await this.run(`systemctl ${verb} prometheus`);
  }

  /** Runs commands of the page with this machine's paths; answers all that they say. */
  async run(script: string): Promise<string> {
    const here = script
      .replaceAll("/var/backups/prometheus.tar.zst", backup)
      .replaceAll("/var/lib/prometheus/metrics2", this.dataDir)
      .replaceAll("http://localhost:9090", this.url);
    const child = Bun.spawn(["sh", "-ec", here], {
      env: { ...cleanEnvironment(), PATH: `${this.#bin}:${process.env["PATH"]}` },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect([await child.exited, stderr]).toEqual([0, expect.any(String)]);
    return stdout + stderr;
  }

  async untilReady(): Promise<void> {
    const isReady = () =>
      fetch(`${this.url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await isReady())) await Bun.sleep(10);
  }

  #program(name: string, script: string): void {
    const file = join(this.#bin, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  }
}

/** Runs a section where a Prometheus runs on other data; answers what each block of it said. */
async function follow(machine: Machine, title: string): Promise<string[]> {
  const said: string[] = [];
  for (const block of commands(title)) said.push(await machine.run(block));
  await machine.untilReady();
  return said;
}

test("with systemd", async () => {
  const machine = new Machine();
  await machine.service("start");
  await machine.untilReady();
  const [plan, restored, checked] = await follow(machine, "In five minutes, with systemd");
  expect(plan).toContain("keeps 10y; once it is stopped, that is --retention 10y");
  expect(restored).toContain("restored 3 blocks");
  expect(checked).toContain("has loaded the 3 blocks of the archive");
  expect(await answers(machine.url)).toEqual(expected);
  const kept = readdirSync(join(machine.dataDir, "..")).filter((name) => name !== "metrics2");
  expect(kept).toEqual([expect.stringMatching(/^metrics2\.before-restore-/)]);
});

test("with a container", async () => {
  const machine = new Machine();
  await machine.service("start");
  await machine.untilReady();
  const [said] = await follow(machine, "In five minutes, with a container");
  expect(said).toContain("has loaded the 3 blocks of the archive");
  expect(await answers(machine.url)).toEqual(expected);
});

test("one bad block", async () => {
  const machine = new Machine();
  await machine.run(
    "prombackup restore /var/backups/prometheus.tar.zst --data-dir /var/lib/prometheus/metrics2",
  );
  const [bad = ""] = blockNames(machine.dataDir);
  writeFileSync(join(machine.dataDir, bad, "index"), "");
  for (const block of commands("One bad block")) {
    await machine.run(block.replace("01HN3RKT7Z3XMWBNP2Q4J5V6SE", bad));
  }
  await machine.untilReady();
  expect(await answers(machine.url)).toEqual(expected);
});

test.each(["Into what has been written since", "Through a pipe"])("%s", async (title) => {
  const machine = new Machine();
  await machine.service("start");
  await machine.untilReady();
  const [said] = await follow(machine, title);
  expect(said).toContain("restored 3 blocks");
  expect(await answers(machine.url)).toEqual(expected);
});

test("no block of commands on the page is left out", () => {
  const sections = page.split(/^## /m).filter((text) => text.includes("```"));
  expect(sections.map((text) => text.split("\n")[0])).toEqual([
    "In five minutes, with systemd",
    "In five minutes, with a container",
    "One bad block",
    "Into what has been written since",
    "Through a pipe",
  ]);
});
