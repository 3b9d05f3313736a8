import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunningPrometheus } from "../../scripts/run-prometheus.ts";
import type { Consequence } from "../../src/tsdb/problems.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { type Block, check, tinyBlock, writeTo } from "./support/blocks.ts";
import { DAMAGES } from "./support/damages.ts";

/**
 * What a check says of a damaged block is what a real Prometheus does with it. Ordered by how bad
 * they are, as the worst hides the others.
 */
const CONSEQUENCES: readonly Consequence[] = [
  "refuses to start",
  "deletes the block",
  "block silently missing",
  "takes no new samples",
  "queries fail",
  "wrong answers",
  "snapshots fail",
  "none",
];

/** Selections of the tiny block's samples, the last one of its second sample time alone. */
const QUERIES = [
  "test_total[1h]",
  'test_total{job="a"}[1h]',
  'test_total{job="b"}[1h]',
  '{job!=""}[1h]',
  "test_total[3s]",
];

const TINY = tinyBlock();

describe.skipIf(!needs("prometheus"))("Prometheus does what is said of", () => {
  const sound = { answers: [] as string[] };

  test("a sound block", async () => {
    const { consequence, answers } = await observe(TINY, undefined);
    sound.answers = answers;
    expect(answers.map((answer) => answer.match(/"metric"/g)?.length)).toEqual([2, 1, 1, 2, 2]);
    expect(consequence).toBe("none");
  });

  const damages = DAMAGES.filter(({ differs }) => !differs);
  test.each(damages.map((damage) => [damage.name, damage] as const))("%s", async (_, damage) => {
    const block = damage.make(TINY);
    const { findings } = await check(block);
    // Nothing shows that a compaction will fail.
    const said = findings.map(({ consequence }) => consequence);
    const worst = CONSEQUENCES.find((consequence) => said.includes(consequence)) ?? "none";
    expect((await observe(block, sound.answers)).consequence).toBe(worst);
  });
});

interface Observed {
  readonly consequence: Consequence;
  readonly answers: string[];
}

/** @param sound the answers from the sound block. */
async function observe(block: Block, sound: readonly string[] | undefined): Promise<Observed> {
  const dataDir = tempDir();
  writeTo(join(dataDir, block.name), block);
  let prometheus: RunningPrometheus;
  try {
    prometheus = await startUnlessRefusing(dataDir);
  } catch (error) {
    const refusal = /opening storage failed|panic|out of bounds/.exec(String(error))?.[0];
    expect(refusal).toBeString();
    const takesNothing = refusal === "out of bounds";
    return { consequence: takesNothing ? "takes no new samples" : "refuses to start", answers: [] };
  }
  try {
    const answers: string[] = [];
    for (const query of QUERIES) answers.push(await ask(prometheus.url, query));
    return { consequence: await consequenceOf(prometheus, block, answers, sound), answers };
  } finally {
    await prometheus.stop();
    rmSync(dataDir, { recursive: true });
  }
}

/** Ends it as soon as it has refused a sample; that it has taken one is what its start waits for. */
async function startUnlessRefusing(dataDir: string): Promise<RunningPrometheus> {
  const directory = tempDir();
  const log = join(directory, "prometheus.log");
  const refusing = new AbortController();
  const watch = setInterval(() => {
    if (existsSync(log) && readFileSync(log, "utf8").includes("out of bounds")) refusing.abort();
  }, 100);
  try {
    return await startPrometheus({ dataDir, directory, signal: refusing.signal });
  } finally {
    clearInterval(watch);
  }
}

async function consequenceOf(
  prometheus: RunningPrometheus,
  block: Block,
  answers: readonly string[],
  sound: readonly string[] | undefined,
): Promise<Consequence> {
  if (!existsSync(join(prometheus.dataDir, block.name))) return "deletes the block";
  if (answers.some((answer) => !answer.includes('"status":"success"'))) return "queries fail";
  if (answers.every((answer) => !answer.includes('"metric"'))) return "block silently missing";
  if (sound !== undefined && !Bun.deepEquals(answers, sound)) return "wrong answers";
  const url = `${prometheus.url}/api/v1/admin/tsdb/snapshot?skip_head=true`;
  const snapshot = await fetch(url, { method: "POST" });
  await snapshot.body?.cancel();
  return snapshot.ok ? "none" : "snapshots fail";
}

async function ask(url: string, query: string): Promise<string> {
  const parameters = new URLSearchParams({ query, time: "1700000016" });
  return await (await fetch(`${url}/api/v1/query?${parameters}`)).text();
}
