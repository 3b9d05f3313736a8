import { readdirSync, readFileSync } from "node:fs";
import { errorCode } from "../lib/errors.ts";
import { COMMIT, VERSION } from "../lib/version.ts";
import type { Downloads } from "../status/downloads.ts";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** `/metrics`: Prometheus's text format, version 0.0.4. */
export function handleMetrics(downloads: Downloads): Response {
  const metrics: Metric[] = [
    {
      name: "prombackup_server_download_tracked_count",
      type: "gauge",
      help: "Downloads that run or ended less than 15 minutes ago.",
      value: downloads.trackedCount,
    },
    {
      name: "prombackup_server_build_info",
      type: "gauge",
      help: "The server's version, with a constant value of 1.",
      value: 1,
      labels: { version: VERSION, revision: COMMIT ?? "source", bun_version: Bun.version },
    },
    ...processMetrics(),
  ];
  return new Response(metrics.map(exposition).join(""), {
    headers: { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" },
  });
}

function exposition({ name, type, help, value, labels = {} }: Metric): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  const set = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${set} ${value}\n`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");
}

/** The metrics that every Prometheus client library tells of its process; limits from /proc. */
function processMetrics(): Metric[] {
  const { user, system } = process.cpuUsage();
  const metrics: Metric[] = [
    gauge(
      "process_resident_memory_bytes",
      "Resident memory size in bytes.",
      process.memoryUsage.rss(),
    ),
    gauge(
      "process_start_time_seconds",
      "Start time of the process since the epoch in seconds.",
      performance.timeOrigin / 1000,
    ),
    {
      name: "process_cpu_seconds_total",
      type: "counter",
      help: "User and system processor time spent in seconds.",
      value: (user + system) / 1e6,
    },
  ];
  const files = fromProc(() => readdirSync("/proc/self/fd").length);
  if (files !== undefined) metrics.push(gauge("process_open_fds", "Open file descriptors.", files));
  const limit = fromProc(() =>
    Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]),
  );
  if (limit)
    metrics.push(gauge("process_max_fds", "The most file descriptors that may be open.", limit));
  const pages = fromProc(() => Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]));
  if (pages)
    metrics.push(
      gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", pages * PAGE_BYTES),
    );
  return metrics;
}

/** What /proc/self/statm counts in, on the platforms that Bun runs on under Linux. */
const PAGE_BYTES = 4096;

function gauge(name: string, help: string, value: number): Metric {
  return { name, type: "gauge", help, value };
}

/** Undefined where there is no /proc, or a sandbox hides it: the metric is left out then. */
function fromProc<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}
