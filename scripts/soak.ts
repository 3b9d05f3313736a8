import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { obtainPrometheus } from "./prometheus.ts";
import { run } from "./run.ts";
import { type RunningPrometheus, startPrometheus } from "./run-prometheus.ts";
import { makeBlocks } from "./sample-data.ts";

const ROOT = resolve(import.meta.dir, "..");
const CLI = [process.execPath, join(ROOT, "src", "cli.ts")];
const SERVER = [process.execPath, join(ROOT, "src", "server.ts")];
const FORMATS = ["tar", "tgz", "tzst"];

/** What a process may grow by between the first look and the last. */
const MORE_MIB = 16;
/** Prometheus is started again after so many cycles. */
const RESTART_EVERY = 40;

/** Threads of the engine's, which come and go as it compiles and collects, by what the system calls them. */
const OF_THE_ENGINE = /^(JITWorker|JSCWarmUp|HeapHelper|ollector Thread|mi-scavenger)$/;

interface Figures {
  /** The most that was ever resident. */
  readonly peakMiB: number;
  readonly descriptors: number;
  /** Workers, and those that Bun reads files and the network with. */
  readonly threads: number;
}

/**
 * `bun run soak [--cycles N] [--warm-up N]`: create, verify, prune, again and again on one server, with
 * a download given up and Prometheus started again now and then. Fails unless the server's peak memory
 * after the last cycle is within 16 MiB of that after the warm-up, its descriptors and threads are
 * the same, and each archive was good; then the server is killed, and its record must still be there.
 */
async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      cycles: { type: "string", default: "100" },
      "warm-up": { type: "string", default: "50" },
    },
  });
  const cycles = Number(values.cycles);
  const warmUp = Math.min(Number(values["warm-up"]), cycles);
  const directory = mkdtempSync(join(tmpdir(), "prombackup-soak-"));
  const { prometheus: program, promtool } = await obtainPrometheus();
  await makeBlocks(promtool, join(directory, "data"), { hours: 6, series: 500 });
  let prometheus = await startPrometheus({ program, directory });
  const server = await startServer(directory, prometheus);
  try {
    let first: Figures | undefined;
    for (let cycle = 1; cycle <= cycles; cycle++) {
      if (cycle % RESTART_EVERY === 0) prometheus = await restart(prometheus);
      const format = FORMATS[cycle % FORMATS.length] ?? "tar";
      await backUp(server.url, directory, prometheus.snapshotDir, format);
      if (cycle % 5 === 0) await giveUp(server.url);
      if (cycle === warmUp) first = await settled(server.pid);
      if (cycle % 50 === 0) report(cycle, figures(server.pid));
    }
    const last = await settled(server.pid);
    report(cycles, last);
    requireSame(first ?? last, last);
    await requireRecord(server, directory, prometheus);
    console.log(`soak: ${cycles} cycles, every archive good, nothing leaked`);
  } finally {
    server.kill();
    await prometheus.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startServer(directory: string, prometheus: RunningPrometheus) {
  const flags = ["--listen-address", "127.0.0.1:0", "--snapshot-dir", prometheus.snapshotDir];
  flags.push("--prometheus-endpoint", prometheus.url, "--state-dir", join(directory, "state"));
  // A thread that starts late would look like growth.
  flags.push("--compress-threads", "1");
  const child = Bun.spawn([...SERVER, ...flags], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const listening = Promise.withResolvers<string>();
  (async () => {
    let log = "";
    // Read to its end, or the server would have to wait.
    for await (const chunk of child.stderr) {
      log = (log + new TextDecoder().decode(chunk)).slice(-10_000);
      const address = /msg=listening address=(\S+)\n/.exec(log)?.[1];
      if (address) listening.resolve(`http://${address}`);
    }
    listening.reject(new Error(`the server ended: ${log}`));
  })();
  return { url: await listening.promise, pid: child.pid, kill: () => child.kill("SIGKILL") };
}

/** On its old port, where the server looks for it. */
async function restart(prometheus: RunningPrometheus): Promise<RunningPrometheus> {
  await prometheus.stop();
  const child = Bun.spawn([...prometheus.command], { stdout: "ignore", stderr: "ignore" });
  const ready = () =>
    fetch(`${prometheus.url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await ready())) await Bun.sleep(20);
  const stop = async () => {
    child.kill();
    await child.exited;
  };
  return { ...prometheus, pid: child.pid, stop };
}

async function backUp(url: string, cwd: string, snapshots: string, format: string): Promise<void> {
  const env = { PROMBACKUP_ENDPOINT: url };
  await run([...CLI, "create", "--format", format, "--output", "backup"], { cwd, env });
  await run([...CLI, "verify", "backup"], { cwd, env });
  await requireSameFiles(cwd, snapshots);
  await run([...CLI, "prune", "--keep-within", "0"], { cwd, env });
}

/** What the archive holds is what the snapshot does. */
async function requireSameFiles(cwd: string, snapshots: string): Promise<void> {
  const extracted = join(cwd, "extracted");
  mkdirSync(extracted);
  await run(["tar", "xf", "backup", "-C", extracted], { cwd });
  const [name = ""] = readdirSync(extracted);
  await run(["diff", "-r", join(extracted, name), join(snapshots, name)], { cwd });
  rmSync(extracted, { recursive: true });
}

/** As a client does that is interrupted. */
async function giveUp(url: string): Promise<void> {
  const taken = await fetch(`${url}/api/snapshot`, { method: "POST", redirect: "manual" });
  const { name } = JSON.parse(await taken.text());
  const aborter = new AbortController();
  const download = await fetch(`${url}/api/download?format=tgz&name=${name}`, {
    signal: aborter.signal,
  });
  for await (const _ of download.body ?? []) break;
  aborter.abort();
  // Its lease would hold it, and a descriptor, for a quarter of an hour.
  const remove = () => fetch(`${url}/api/snapshots/${name}`, { method: "DELETE" });
  while ((await remove()).status === 409) await Bun.sleep(20);
}

function figures(pid: number): Figures {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => {
    const [, value] = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status) ?? [];
    if (value === undefined) throw new Error(`/proc/${pid}/status doesn't tell ${name}`);
    return Number(value);
  };
  return {
    peakMiB: Math.round(field("VmHWM") / 1024),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: threadNames(pid).filter((name) => !OF_THE_ENGINE.test(name)).length,
  };
}

function threadNames(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      return [readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim()];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

/** Idle connections are closed after some 12 seconds. */
async function settled(pid: number): Promise<Figures> {
  const end = performance.now() + 15_000;
  let least = figures(pid);
  while (performance.now() < end) {
    const now = figures(pid);
    least = {
      peakMiB: now.peakMiB,
      descriptors: Math.min(least.descriptors, now.descriptors),
      threads: Math.min(least.threads, now.threads),
    };
    await Bun.sleep(100);
  }
  return least;
}

function report(cycle: number, { peakMiB, descriptors, threads }: Figures): void {
  console.log(
    `after ${cycle} cycles: peak ${peakMiB} MiB, ${descriptors} descriptors, ${threads} threads`,
  );
}

function requireSame(first: Figures, last: Figures): void {
  const grown = last.peakMiB - first.peakMiB;
  if (grown > MORE_MIB) throw new Error(`the peak memory grew by ${grown} MiB`);
  if (last.descriptors > first.descriptors) throw new Error("descriptors have leaked");
  if (last.threads > first.threads) throw new Error("threads have leaked");
}

async function requireRecord(
  server: { readonly url: string; kill(): void },
  directory: string,
  prometheus: RunningPrometheus,
): Promise<void> {
  const before = await (await fetch(`${server.url}/api/downloads`)).text();
  server.kill();
  const again = await startServer(directory, prometheus);
  const after = await (await fetch(`${again.url}/api/downloads`)).text();
  again.kill();
  if (before !== after) throw new Error("the record of downloads did not survive the restart");
}

await main(process.argv.slice(2));
