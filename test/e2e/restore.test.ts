import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blockNames, listing, restore } from "../restore/support.ts";
import { run } from "../support/programs.ts";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

const { dataDir, start, end } = await makeBlocks({ hours: 6, series: 50 });
const original = await startPrometheus({ dataDir });
const cwd = tempDir();
const backup = join(cwd, "backup.tar.zst");
const local = ["--snapshot-dir", original.snapshotDir, "--prometheus-endpoint", original.url];
await run("prombackup", ["create", ...local, "--format", "tzst", "--output", backup]);
const archive = new Uint8Array(await Bun.file(backup).arrayBuffer());

const QUERIES = [
  "demo_requests_total",
  "demo_temperature_celsius",
  "sum by (room) (rate(demo_requests_total[5m]))",
  "count(demo_temperature_celsius)",
];

function answers(url: string) {
  return Promise.all(QUERIES.map((query) => queryRange(url, query, start, end, 30)));
}

const expected = await answers(original.url);

async function requireSameAnswers(restored: string): Promise<void> {
  const prometheus = await startPrometheus({ dataDir: restored });
  expect(await answers(prometheus.url)).toEqual(expected);
  await prometheus.stop();
}

test("what is restored into an empty directory answers each query as the original does", async () => {
  expect(expected[0]).toHaveLength(50);
  const target = join(tempDir(), "data");
  mkdirSync(target);
  const { status, stdout } = await restore(backup, "--data-dir", target);
  expect([status, stdout]).toEqual([0, expect.stringContaining("restored 4 blocks")]);
  await requireSameAnswers(target);
});

test("standard input is restored as a file is", async () => {
  const target = join(tempDir(), "data");
  const piped = await run("prombackup", ["restore", "-", "--data-dir", target], { stdin: archive });
  expect([piped.status, piped.stdout]).toEqual([0, expect.stringContaining("restored 4 blocks")]);
  const fromFile = join(tempDir(), "data");
  await restore(backup, "--data-dir", fromFile);
  expect(listing(target)).toEqual(listing(fromFile));
});

test("--replace keeps what was there, and the line it prints undoes it", async () => {
  const target = join(tempDir(), "data");
  mkdirSync(join(target, "wal"), { recursive: true });
  writeFileSync(join(target, "wal", "00000000"), "precious");
  const before = listing(target);
  const refused = await restore(backup, "--data-dir", target);
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("is not empty")]);
  expect(listing(target)).toEqual(before);

  const replaced = await restore(backup, "--data-dir", target, "--replace");
  expect(replaced.status).toBe(0);
  expect(blockNames(target)).toHaveLength(4);
  expect(readdirSync(target)).toHaveLength(4);
  const undo = /to undo it, with Prometheus stopped:\n {2}(.*)\n/.exec(replaced.stdout)?.[1] ?? "";
  expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
  expect(listing(target)).toEqual(before);
  await requireSameAnswers(`${target}.undone`);
});
