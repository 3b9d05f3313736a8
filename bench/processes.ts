import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchSnapshot, CACHE } from "./data/snapshots.ts";

/** Where the compiled programs that are measured lie. */
export const PROGRAMS = join(CACHE, "programs");

/** A running prombackup-server, and what it has used up. */
export interface MeasuredServer {
  readonly url: string;
  /** Seconds of CPU so far, user and system. */
  cpu(): number;
  /** The most memory that it ever had resident, in bytes. */
  peak(): number;
  stop(): Promise<void>;
}

/** Starts a server of its own for a snapshot, on a free port of loopback, and asks it to take that. */
export async function startServer({ snapshotDir, name }: BenchSnapshot): Promise<MeasuredServer> {
  const prometheus = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    // The snapshot is there already.
    fetch: () => Response.json({ status: "success", data: { name } }),
  });
  const child = Bun.spawn(
    [
      ...[join(PROGRAMS, "prombackup-server"), "--listen-address", "127.0.0.1:0"],
      ...["--snapshot-dir", snapshotDir, "--prometheus-endpoint", prometheus.url.href],
      ...["--compress-threads", "2"],
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  const url = await listeningUrl(child.stderr);
  const taken = await fetch(`${url}/api/snapshot`, { method: "POST", redirect: "manual" });
  if (taken.status !== 303) throw new Error(`no snapshot: ${await taken.text()}`);
  return {
    url,
    cpu: () => cpuSeconds(child.pid),
    peak: () => peakBytes(child.pid),
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await prometheus.stop(true);
    },
  };
}

async function listeningUrl(log: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const listening = Promise.withResolvers<string>();
  (async () => {
    let text = "";
    // Read to its end, or the server would have to wait.
    for await (const chunk of log) {
      text = (text + new TextDecoder().decode(chunk)).slice(-10_000);
      const address = /msg=listening address=(\S+)\n/.exec(text)?.[1];
      if (address) listening.resolve(`http://${address}`);
    }
    listening.reject(new Error(`the server ended: ${text}`));
  })();
  return listening.promise;
}

/** proc(5): fields 14 and 15 of stat, in hundredths of a second. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  // A process that has ended, but wasn't waited for yet, has none.
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
}

/** What a client saw of a download. */
export interface Received {
  readonly firstByte: number;
  readonly seconds: number;
  readonly bytes: number;
}

/** Downloads by curl, into nothing. Throws unless it arrives whole. */
export async function download(
  server: MeasuredServer,
  name: string,
  format: string,
  limitRate?: string,
): Promise<Received> {
  const url = `${server.url}/api/download?name=${name}&format=${format}`;
  const told = "%{http_code} %{time_starttransfer} %{time_total} %{size_download}";
  const limit = limitRate === undefined ? [] : ["--limit-rate", limitRate];
  const child = Bun.spawn(["curl", "-sS", "-o", "/dev/null", "-w", told, ...limit, url], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const [status, firstByte = Number.NaN, seconds = Number.NaN, bytes = Number.NaN] = (
    await child.stdout.text()
  )
    .split(" ")
    .map(Number);
  if ((await child.exited) !== 0 || status !== 200) throw new Error(`${url}: status ${status}`);
  return { firstByte, seconds, bytes };
}

/** What a server does for the first time takes longer, before its code is compiled. */
const WARM_BYTES = 50e6;

/** Takes the beginning of a download, and leaves. */
export async function warmUp(server: MeasuredServer, name: string, format: string): Promise<void> {
  const { body } = await fetch(`${server.url}/api/download?name=${name}&format=${format}`);
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.byteLength;
    if (bytes >= WARM_BYTES) break;
  }
}

/** Asks for a download over a connection of its own, and never takes what comes. Answers how to end it. */
export async function stalledDownload(
  server: MeasuredServer,
  name: string,
  format: string,
): Promise<() => void> {
  const { hostname, port, host } = new URL(server.url);
  const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } });
  socket.pause();
  socket.write(`GET /api/download?name=${name}&format=${format} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return () => socket.terminate();
}

/** What a command took. */
export interface Taken {
  readonly seconds: number;
  /** Seconds of CPU, of all its processes. */
  readonly cpu: number;
  /** The most memory that it had, in bytes. */
  readonly peak: number;
}

const WATCH_MS = 20;

/** Runs a command to its end. Throws if it fails. */
export async function timed(command: readonly string[]): Promise<Taken> {
  const start = performance.now();
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  // What the system tells afterwards begins with the memory of the process that it was forked from.
  const watch = { peak: 0 };
  const timer = setInterval(() => {
    watch.peak = Math.max(watch.peak, existsSync(`/proc/${child.pid}`) ? peakBytes(child.pid) : 0);
  }, WATCH_MS);
  const [status, stderr] = await Promise.all([child.exited, child.stderr.text()]);
  clearInterval(timer);
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return { seconds, cpu: Number(child.resourceUsage()?.cpuTime.total) / 1e6, peak: watch.peak };
}
