import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { snapshotOf } from "../data/snapshots.ts";
import { download, type MeasuredServer, stalledDownload, startServer } from "../processes.ts";
import { mebibytes, milliseconds, printTable, quantile } from "../report.ts";
import type { Scale } from "../scale.ts";

const HEALTHY_PAUSE_MS = 5;

/** Eight downloads at once, one of which is never taken: memory, and how others are answered. */
export async function measureEight({ smaller }: Scale): Promise<void> {
  const snapshot = await snapshotOf("dense", smaller);
  const rows: string[][] = [];
  for (const format of ARCHIVE_FORMATS) {
    const server = await startServer(snapshot);
    try {
      const endStalled = await stalledDownload(server, snapshot.name, format);
      const seven = Promise.all(
        Array.from({ length: 7 }, () => download(server, snapshot.name, format)),
      );
      const latencies = await healthyWhile(server, seven);
      endStalled();
      rows.push([
        format,
        mebibytes(server.peak()),
        "256 MiB",
        milliseconds(quantile(latencies, 0.5)),
        milliseconds(quantile(latencies, 0.99)),
        milliseconds(Math.max(...latencies)),
        "50 ms",
      ]);
    } finally {
      await server.stop();
    }
  }
  printTable(
    "Eight downloads at once, one of them stalled",
    [
      ...["format", "peak RSS", "to reach"],
      ...["/-/healthy, median", "99th percentile", "longest", "99th to reach"],
    ],
    rows,
  );
}

async function healthyWhile(server: MeasuredServer, work: Promise<unknown>): Promise<number[]> {
  const latencies: number[] = [];
  let running = true;
  const ended = work.finally(() => {
    running = false;
  });
  while (running) {
    const start = performance.now();
    await (await fetch(`${server.url}/-/healthy`, { keepalive: false })).text();
    latencies.push(performance.now() - start);
    await Bun.sleep(HEALTHY_PAUSE_MS);
  }
  await ended;
  return latencies;
}
