import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.ts";

export interface SampleData {
  /** A block is made for each two hours. */
  readonly hours: number;
  /** How many series of each of the two metrics. */
  readonly series: number;
  /** The first sample's time; the default ends the data at the last full two hours. */
  readonly from?: Date | undefined;
}

/** When the first and the last sample are. */
export interface MadeData {
  readonly start: Date;
  readonly end: Date;
}

const BLOCK_SECONDS = 7200;
const STEP_SECONDS = 30;

/**
 * Makes real blocks in `dataDir` with promtool: `demo_requests_total` and
 * `demo_temperature_celsius`, both with a label `room`. Throws if promtool fails.
 */
export async function makeBlocks(
  promtool: string,
  dataDir: string,
  data: SampleData,
): Promise<MadeData> {
  const scratch = mkdtempSync(join(tmpdir(), "prombackup-data-"));
  try {
    const file = join(scratch, "metrics.txt");
    const made = writeMetrics(file, data);
    await run([promtool, "tsdb", "create-blocks-from", "openmetrics", file, dataDir]);
    return made;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Writes the samples that {@link makeBlocks} makes blocks from; the same for the same arguments. */
export function writeMetrics(file: string, data: SampleData): MadeData {
  const lastBoundary = Math.floor(Date.now() / 1000 / BLOCK_SECONDS) * BLOCK_SECONDS;
  const length = data.hours * 3600;
  const start = data.from ? Math.floor(data.from.getTime() / 1000) : lastBoundary - length;
  writeFileSync(file, openMetrics(start, length, data.series));
  return { start: new Date(start * 1000), end: new Date((start + length - STEP_SECONDS) * 1000) };
}

function openMetrics(start: number, length: number, series: number): string {
  const lines = ["# TYPE demo_requests counter"];
  const sequence = pseudoRandom();
  for (let room = 1; room <= series; room++) {
    let total = 0;
    for (let time = start; time < start + length; time += STEP_SECONDS) {
      total += sequence(40);
      lines.push(`demo_requests_total{room="${room}"} ${total} ${time}`);
    }
  }
  lines.push("# TYPE demo_temperature_celsius gauge");
  for (let room = 1; room <= series; room++) {
    let tenths = 180 + sequence(40);
    for (let time = start; time < start + length; time += STEP_SECONDS) {
      tenths += sequence(5) - 2;
      lines.push(`demo_temperature_celsius{room="${room}"} ${tenths / 10} ${time}`);
    }
  }
  return `${lines.join("\n")}\n# EOF\n`;
}

/** Whole numbers from 0 to below `limit`, the same in every run (a 32-bit xorshift). */
function pseudoRandom(): (limit: number) => number {
  let state = 0x9e3779b9;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}
