import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { type BenchSnapshot, repeated, smallFiles, snapshotOf } from "../data/snapshots.ts";
import { download, startServer, warmUp } from "../processes.ts";
import { mebibytes, printTable, seconds } from "../report.ts";
import type { Scale } from "../scale.ts";

/** Time per GB and memory, over the size of a snapshot and over the number of its files. */
export async function measureGrowth(scale: Scale): Promise<void> {
  const whole = await snapshotOf("dense", scale.bytes);
  await table("Growth with the size", [
    await snapshotOf("dense", scale.bytes / 10),
    whole,
    repeated(whole, scale.growth),
  ]);
  await table(
    "Growth with the number of files",
    [1, 10, 100, 1000].map((blocks) => smallFiles(blocks, 10, scale.smaller)),
  );
}

async function table(title: string, snapshots: readonly BenchSnapshot[]): Promise<void> {
  const rows: string[][] = [];
  for (const snapshot of snapshots) {
    for (const format of ARCHIVE_FORMATS) {
      const server = await startServer(snapshot);
      try {
        await warmUp(server, snapshot.name, format);
        const before = server.cpu();
        const received = await download(server, snapshot.name, format);
        const gigabytes = snapshot.bytes / 1e9;
        rows.push([
          `${gigabytes.toFixed(2)} GB`,
          String(snapshot.files),
          format,
          seconds(received.seconds / gigabytes),
          seconds((server.cpu() - before) / gigabytes),
          mebibytes(server.peak()),
        ]);
      } finally {
        await server.stop();
      }
    }
  }
  printTable(title, ["size", "files", "format", "time per GB", "CPU per GB", "peak RSS"], rows);
}
