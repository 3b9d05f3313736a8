import { join } from "node:path";
import { PROGRAMS, timed } from "../processes.ts";
import { median, milliseconds, printTable } from "../report.ts";

const RUNS = 21;

export async function measureStart(): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    times.push((await timed([join(PROGRAMS, "prombackup"), "--help"])).seconds * 1000);
  }
  printTable(
    "Start",
    ["command", "time", "to reach"],
    [["prombackup --help, compiled", milliseconds(median(times)), "60 ms"]],
  );
}
