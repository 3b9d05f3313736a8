import { existsSync, renameSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ARCHIVE_FORMATS, type ArchiveFormat } from "../src/archive/format.ts";
import { openArchive } from "../src/archive/open-archive.ts";
import { planArchive } from "../src/archive/plan.ts";
import { createCompressor, writeArchive } from "../src/archive/write.ts";
import type { CheckLevel } from "../src/tsdb/check-block.ts";
import { type BlockChecks, checksHere } from "../src/tsdb/checks.ts";
import { CheckPool } from "../src/tsdb/pool/check-pool.ts";
import { checkArchive } from "../src/verify/check.ts";
import { KINDS, type Kind, snapshotOf } from "./data/snapshots.ts";

/**
 * How fast an archive in the page cache is checked: `bun bench/verify.ts [SECONDS]`, for so long per
 * line. First on one thread from a tar, then on all cores and from each format. Megabytes are those of
 * the tar, whatever the archive's size is.
 */

const BYTES = 100e6;
const SECONDS = Number(process.argv[2] ?? 5);
const SOURCE = resolve(import.meta.dir, "../src");
const urlOf = (worker: string) => pathToFileURL(join(SOURCE, worker));

const pool = new CheckPool(urlOf("tsdb/pool/worker.ts"), navigator.hardwareConcurrency);

for (const kind of KINDS) {
  for (const level of ["structure", "full"] as const) {
    await measure(kind, "tar", level, "one thread", checksHere(level));
    for (const format of ARCHIVE_FORMATS) {
      await measure(kind, format, level, "all cores", pool.checks(level));
    }
  }
}
pool.close();

async function archiveOf(kind: Kind, format: ArchiveFormat): Promise<string> {
  const { snapshotDir, name } = await snapshotOf(kind, BYTES);
  const archive = join(snapshotDir, `${name}.${format}`);
  if (existsSync(archive)) return archive;
  const compressor = createCompressor({
    workerUrl: urlOf("archive/compress/worker.ts"),
    threads: 2,
  });
  const sink = Bun.file(`${archive}.part`).writer();
  const plan = await planArchive(join(snapshotDir, name), name);
  for await (const piece of writeArchive(plan, format, compressor)) {
    sink.write(piece);
    await sink.flush();
  }
  await sink.end();
  compressor.close();
  renameSync(`${archive}.part`, archive);
  return archive;
}

async function measure(
  kind: Kind,
  format: ArchiveFormat,
  level: CheckLevel,
  where: string,
  checks: BlockChecks,
): Promise<void> {
  const megabytes = statSync(await archiveOf(kind, "tar")).size / 1e6;
  const archive = await archiveOf(kind, format);
  const speeds: number[] = [];
  const cpuBefore = process.cpuUsage();
  const end = performance.now() + SECONDS * 1000;
  while (performance.now() < end) {
    const start = performance.now();
    await requireSound(archive, checks);
    speeds.push((megabytes * 1000) / (performance.now() - start));
  }
  const { user } = process.cpuUsage(cpuBefore);
  const sorted = speeds.toSorted((a, b) => a - b);
  const figures = { first: speeds[0], median: sorted[sorted.length >> 1], best: sorted.at(-1) };
  const text = Object.entries(figures).map(([key, speed]) => `${key} ${speed?.toFixed(0)} MB/s`);
  const cost = user / 1000 / (megabytes * speeds.length);
  console.log(
    `${kind} ${format}, ${level}, ${where}: ${text.join(", ")}; ${cost.toFixed(2)} ms of user time a MB (${speeds.length} runs)`,
  );
}

async function requireSound(archive: string, checks: BlockChecks): Promise<void> {
  const { contents } = await checkArchive((await openArchive(archive)).stream, checks);
  const findings = contents?.blocks.flatMap((block) => block.findings);
  if (findings?.length !== 0) throw new Error(JSON.stringify(findings, null, 2));
}
