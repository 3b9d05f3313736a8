import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { obtainPrometheus } from "../scripts/prometheus.ts";
import { makeRandomWalk, type RandomWalk } from "../scripts/random-walk.ts";
import { run } from "../scripts/run.ts";
import { readTar } from "../src/archive/tar/reader.ts";
import { BlockCheck, type CheckLevel } from "../src/tsdb/check-block.ts";

/**
 * How fast blocks are checked, on one core: `bun bench/verify.ts [SECONDS]`, for so long per line.
 * Blocks are made with promtool, once, in the cache folder, and packed by tar. What is measured is
 * reading such an archive with the tar reader and checking every block in it.
 */

const CACHE = resolve(import.meta.dir, "../.cache/bench-verify");

const DATA: readonly (Omit<RandomWalk, "dataDir"> & { readonly name: string })[] = [
  // About 8.5 and 0.5 bytes a sample: real blocks are in between, mostly near the second.
  { name: "dense", kind: "dense", hours: 4, series: 1000, stepSeconds: 1 },
  { name: "steps", kind: "steps", hours: 4, series: 6000, stepSeconds: 10 },
];

for (const data of DATA) {
  const archive = await archiveOf(data);
  for (const level of ["structure", "full"] as const) await measure(data.name, archive, level);
}

async function archiveOf({ name, ...walk }: (typeof DATA)[number]): Promise<string> {
  const archive = join(CACHE, `${name}.tar`);
  if (existsSync(archive)) return archive;
  console.error(`making the blocks of ${name} ...`);
  const dataDir = join(CACHE, name);
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir, { recursive: true });
  const { promtool } = await obtainPrometheus();
  await makeRandomWalk(promtool, { ...walk, dataDir });
  await run(["tar", "-cf", `${archive}.part`, "--sort=name", "-C", CACHE, name]);
  renameSync(`${archive}.part`, archive);
  rmSync(dataDir, { recursive: true });
  return archive;
}

async function measure(name: string, archive: string, level: CheckLevel): Promise<void> {
  const megabytes = statSync(archive).size / 1e6;
  const speeds: number[] = [];
  let samples = 0;
  const end = performance.now() + Number(process.argv[2] ?? 10) * 1000;
  while (performance.now() < end) {
    const start = performance.now();
    samples = await checkArchive(archive, level);
    speeds.push((megabytes * 1000) / (performance.now() - start));
  }
  const sorted = speeds.toSorted((a, b) => a - b);
  const figures = { first: speeds[0], median: sorted[sorted.length >> 1], best: sorted.at(-1) };
  const what = `${megabytes.toFixed(0)} MB, ${(samples / 1e6).toFixed(1)} M samples`;
  const text = Object.entries(figures).map(([key, speed]) => `${key} ${speed?.toFixed(0)} MB/s`);
  console.log(`${name} (${what}), ${level}: ${text.join(", ")} (${speeds.length} runs)`);
}

/** Answers the number of samples. Throws unless every block is found sound. */
async function checkArchive(archive: string, level: CheckLevel): Promise<number> {
  let samples = 0;
  let current = "";
  let check: BlockCheck | undefined;
  const finish = async () => {
    const result = await check?.finish();
    if (result?.findings.length) throw new Error(JSON.stringify(result.findings, null, 2));
    samples += result?.samples ?? 0;
  };
  for await (const entry of readTar(Bun.file(archive).stream())) {
    if (entry.type !== "file") continue;
    const [, block = "", ...path] = entry.path.split("/");
    if (block !== current) {
      await finish();
      current = block;
      check = new BlockCheck(block, level);
    }
    await check?.file(path.join("/"), entry.body);
  }
  await finish();
  return samples;
}
