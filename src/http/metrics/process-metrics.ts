import { readdirSync, readFileSync } from "node:fs";
import { errorCode } from "../../lib/errors.ts";
import { gauge, type Metric } from "../../lib/metrics.ts";

/** The metrics that every Prometheus client library tells of its process; limits from /proc. */
export function processMetrics(): Metric[] {
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
      samples: () => [{ labels: {}, value: (user + system) / 1e6 }],
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

/** Undefined where there is no /proc, or a sandbox hides it: the metric is left out then. */
function fromProc<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}
