import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { type BenchSnapshot, smallFiles } from "../data/snapshots.ts";
import { download, type MeasuredServer, startServer } from "../processes.ts";
import { median, milliseconds, printTable } from "../report.ts";
import type { Scale } from "../scale.ts";

/** How long a client waits for the first byte, of a server that was just started and of one that ran. */
export async function measureFirstByte({ runs }: Scale): Promise<void> {
  const snapshots = [
    { what: "100 blocks, 400 files", goal: 30, snapshot: smallFiles(100, 4, 40e6) },
    { what: "1,000 blocks, 10,000 files", goal: 120, snapshot: smallFiles(1000, 10, 20e6) },
  ];
  const rows: string[][] = [];
  for (const { what, goal, snapshot } of snapshots) {
    for (const format of ARCHIVE_FORMATS) {
      const { first, later } = await waits(snapshot, format, runs);
      rows.push([what, format, milliseconds(first), milliseconds(later), `${goal} ms`]);
    }
  }
  printTable(
    "First byte",
    ["snapshot", "format", "the server's first download", "later ones", "to reach"],
    rows,
  );
}

async function waits(snapshot: BenchSnapshot, format: string, runs: number) {
  const wait = async (server: MeasuredServer) =>
    1000 * (await download(server, snapshot.name, format)).firstByte;
  const [first, later]: number[][] = [[], []];
  for (let i = 0; i < runs; i++) {
    const server = await startServer(snapshot);
    try {
      first?.push(await wait(server));
      for (let j = 0; j < 3; j++) later?.push(await wait(server));
    } finally {
      await server.stop();
    }
  }
  return { first: median(first ?? []), later: median(later ?? []) };
}
