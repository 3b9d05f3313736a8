import { expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { archiveOf, blockNames, restore } from "../restore/support.ts";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

/* What a Prometheus has done to its blocks since the backup. */

const { dataDir: made, start, end } = await makeBlocks({ hours: 6, series: 2 });
const archive = archiveOf(made);
const QUERY = "demo_requests_total";

function copy(): string {
  const target = join(tempDir(), "data");
  cpSync(made, target, { recursive: true });
  return target;
}

async function post(url: string, path: string): Promise<void> {
  const { status } = await fetch(`${url}/api/v1/admin/tsdb/${path}`, { method: "POST" });
  expect(status).toBe(204);
}

/** A data directory from which samples were deleted. */
async function deleted({ clean }: { readonly clean: boolean }): Promise<string> {
  const dataDir = copy();
  const { url, stop } = await startPrometheus({ dataDir });
  await post(url, `delete_series?match[]=${QUERY}`);
  if (clean) await post(url, "clean_tombstones");
  await stop();
  return dataDir;
}

async function answer(dataDir: string) {
  const { url, stop } = await startPrometheus({ dataDir });
  const found = await queryRange(url, QUERY, start, end, 60);
  await stop();
  return found;
}

test("samples that were deleted since the backup: told, and back by --block --replace", async () => {
  const target = await deleted({ clean: false });
  const blocks = blockNames(made);
  const merged = await restore(archive, "--data-dir", target, "--merge");
  expect(merged.status).toBe(0);
  for (const block of blocks)
    expect(merged.stdout).toContain(`samples of block ${block} were deleted since the backup`);
  const only = blocks.flatMap((block) => ["--block", block]);
  expect(await restore(archive, "--data-dir", target, "--replace", ...only)).toMatchObject({
    status: 0,
  });
  expect(await answer(target)).toEqual(await answer(copy()));
});

test("blocks that were written again without deleted samples: told, and the way back is right", async () => {
  const target = await deleted({ clean: true });
  const merged = await restore(archive, "--data-dir", target, "--merge");
  const told = [
    ...merged.stdout.matchAll(/^warning: block \S+ isn't restored: block (\S+) there/gm),
  ];
  const rewritten = told.map(([, block = ""]) => block);
  expect([merged.status, rewritten.length]).toEqual([0, blockNames(made).length]);
  const [first = ""] = blockNames(made);
  const asked = await restore(archive, "--data-dir", target, "--block", first);
  expect([asked.status, asked.stderr]).toEqual([1, expect.stringContaining("was made of it")]);
  for (const block of rewritten) renameSync(join(target, block), join(tempDir(), block));
  expect(await restore(archive, "--data-dir", target, "--merge")).toMatchObject({ status: 0 });
  expect(await answer(target)).toEqual(await answer(copy()));
});

test("--check finds out that Prometheus runs on another directory with the same blocks", async () => {
  const [here, elsewhere] = [copy(), copy()];
  const { url } = await startPrometheus({ dataDir: elsewhere });
  const check = [archive, "--prometheus-endpoint", url, "--check", "--data-dir"];
  const { status, stderr } = await restore(...check, here);
  expect([status, stderr]).toEqual([
    1,
    expect.stringContaining(`runs on ${elsewhere}, not on ${here}`),
  ]);
  expect(await restore(...check, elsewhere)).toMatchObject({ status: 0 });
});

test("--dry-run tells that no Prometheus was asked", async () => {
  const target = join(tempDir(), "data");
  const args = ["--dry-run", "--prometheus-endpoint", "http://127.0.0.1:1"];
  const { status, stderr } = await restore(archive, "--data-dir", target, ...args);
  expect([status, stderr]).toEqual([0, expect.stringContaining("doesn't answer")]);
});

test("the undo lines of two restores work one after the other, and do nothing by half", async () => {
  const target = copy();
  const before = blockNames(target);
  const [first = "", second = ""] = before;
  const undo: string[] = [];
  for (const block of [first, second]) {
    const args = [archive, "--data-dir", target, "--block", block, "--replace", "--json"];
    undo.push(JSON.parse((await restore(...args)).stdout).undo);
  }
  for (const line of undo) expect(Bun.spawnSync(["sh", "-c", line]).exitCode).toBe(0);
  expect(blockNames(target)).toEqual(before);

  // As after Prometheus has compacted it.
  const empty = join(tempDir(), "data");
  mkdirSync(empty);
  writeFileSync(join(empty, "queries.active"), "");
  const merged = await restore(archive, "--data-dir", empty, "--merge", "--json");
  rmSync(join(empty, first), { recursive: true });
  const left = readdirSync(empty);
  expect(Bun.spawnSync(["sh", "-c", JSON.parse(merged.stdout).undo]).exitCode).not.toBe(0);
  expect(readdirSync(empty)).toEqual(left);
});
