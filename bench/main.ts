import { cpus, loadavg } from "node:os";
import { build } from "../scripts/build.ts";
import { PROGRAMS } from "./processes.ts";
import { measureArchives } from "./rows/archives.ts";
import { measureCreate } from "./rows/create.ts";
import { measureEight } from "./rows/eight.ts";
import { measureFirstByte } from "./rows/first-byte.ts";
import { measureGrowth } from "./rows/growth.ts";
import { measureLevels } from "./rows/levels.ts";
import { measureStart } from "./rows/start.ts";
import { FULL, QUICK, type Scale } from "./scale.ts";

/**
 * `bun run bench [--quick] [ROW...]`: what docs/performance.md tells, measured with compiled programs.
 * The data are made at the first run, 3 GB in the project's cache folder.
 */
const ROWS: Readonly<Record<string, (scale: Scale) => Promise<void>>> = {
  archives: measureArchives,
  "first-byte": measureFirstByte,
  eight: measureEight,
  create: measureCreate,
  start: measureStart,
  levels: measureLevels,
  growth: measureGrowth,
};

const [args, scale] = readArguments(process.argv.slice(2));
await build(PROGRAMS);
const [cpu] = cpus();
const load = loadavg()[0]?.toFixed(1);
console.log(`${cpus().length} cores, ${cpu?.model}, Bun ${Bun.version}, load ${load} at the start`);
for (const [name, measure] of Object.entries(ROWS)) {
  if (args.length === 0 || args.includes(name)) await measure(scale);
}

function readArguments(all: readonly string[]): [rows: string[], scale: Scale] {
  const rows = all.filter((argument) => argument !== "--quick");
  const unknown = rows.find((row) => !Object.hasOwn(ROWS, row));
  if (unknown !== undefined) {
    throw new Error(`no such row: ${unknown}; there are ${Object.keys(ROWS).join(", ")}`);
  }
  return [rows, all.length > rows.length ? QUICK : FULL];
}
