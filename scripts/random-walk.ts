import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.ts";

export interface RandomWalk {
  /** Where the blocks go: a Prometheus data directory, made if missing. */
  readonly dataDir: string;
  /** A block is made for each two hours. */
  readonly hours: number;
  readonly series: number;
  readonly stepSeconds: number;
  /** `dense`: each sample is another float; `steps`: most series are constant, others count. */
  readonly kind: "dense" | "steps";
}

/** 2023-11-15, 04:00: full two hours. */
const START = 1_700_020_800;
const FLUSH_AT = 1024 * 1024;

/**
 * Makes real blocks with promtool in two extremes: about 8.5 bytes a sample, where all is in the
 * values, and about 0.5, where all is in the number of samples. Throws if promtool fails.
 */
export async function makeRandomWalk(promtool: string, walk: RandomWalk): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), "prombackup-data-"));
  try {
    const file = join(scratch, "metrics.txt");
    writeOpenMetrics(file, walk);
    await run([promtool, "tsdb", "create-blocks-from", "openmetrics", file, walk.dataDir]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function writeOpenMetrics(file: string, walk: RandomWalk): void {
  const output = openSync(file, "w");
  try {
    let text = "";
    for (const line of lines(walk)) {
      text += line;
      if (text.length > FLUSH_AT) {
        writeSync(output, text);
        text = "";
      }
    }
    writeSync(output, `${text}# EOF\n`);
  } finally {
    closeSync(output);
  }
}

function* lines({ hours, series, stepSeconds, kind }: RandomWalk): Generator<string> {
  const end = START + hours * 3600;
  for (let walker = 0; walker < series; walker++) {
    let value = Math.floor(Math.random() * 1000);
    const isConstant = kind === "steps" && walker % 3 > 0;
    for (let time = START; time < end; time += stepSeconds) {
      if (kind === "dense") value += Math.random() - 0.5;
      else if (!isConstant && Math.random() < 0.3) value += Math.floor(Math.random() * 5);
      yield `walk{walker="${walker}"} ${value} ${time}\n`;
    }
  }
}
