import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { makeRandomWalk } from "../../scripts/random-walk.ts";
import type { BlockResult } from "../../src/tsdb/check-block.ts";
import { checkSnapshot } from "../../src/tsdb/check-snapshot.ts";
import { isUlid } from "../../src/tsdb/meta.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { type Block, check, kinds, readBlock, withFile } from "./support/blocks.ts";
import { compactingPrometheus } from "./support/compacting-prometheus.ts";

/** What promtool and Prometheus write has no findings, however it came about. */

test.skipIf(!needs("promtool"))("blocks that promtool made", async () => {
  const { dataDir } = await makeBlocks({ hours: 6, series: 40 });
  const blocks = await checkAll(dataDir);
  expect(blocks.map(({ samples, series }) => [samples, series])).toEqual([
    [19_200, 80],
    [19_200, 80],
    [19_200, 80],
  ]);
});

describe.skipIf(!needs("prometheus", "promtool"))("of a real Prometheus", () => {
  test("a snapshot of the head, and of blocks with tombstones", async () => {
    const { dataDir, start } = await makeBlocks({ hours: 4, series: 20 });
    const { url, snapshotDir, stop } = await startPrometheus({ dataDir });
    const from = start.getTime() / 1000;
    await post(url, "delete_series", {
      "match[]": 'demo_requests_total{room=~"1."}',
      start: String(from + 60),
      end: String(from + 9000),
    });
    // Without a range: all times that there can be.
    await post(url, "delete_series", { "match[]": 'demo_temperature_celsius{room="7"}' });
    await untilScraped(url, 3);
    await post(url, "snapshot", {});
    await stop();

    const [snapshot = ""] = readdirSync(snapshotDir);
    const [first, second, head, ...others] = await checkAll(join(snapshotDir, snapshot));
    expect(others).toEqual([]);
    expect(first?.meta?.stats.numTombstones).toBe(11);
    expect(second?.meta?.stats.numTombstones).toBe(11);
    expect(head?.meta?.stats.numTombstones).toBe(0);
    expect(head?.series).toBeGreaterThan(100);
  });

  test("blocks that it compacted, of many segments and of late samples", async () => {
    const dataDir = tempDir();
    const walk = { dataDir, hours: 6, series: 500, stepSeconds: 30, kind: "dense" } as const;
    await makeRandomWalk(findPrometheus("promtool") ?? "", walk);
    const prometheus = compactingPrometheus(dataDir);
    const hasMany = (name: string) => existsSync(join(dataDir, name, "chunks/000003"));
    const compactions = () => prometheus.log().match(/msg="compact blocks"/g)?.length ?? 0;
    await until(() => compactions() > 3 && readdirSync(dataDir).filter(isUlid).some(hasMany));
    await prometheus.stop();

    const blocks = await checkAll(dataDir);
    expect(Math.max(...blocks.map(({ meta }) => meta?.compaction.level ?? 0))).toBeGreaterThan(1);
    const compacted = readdirSync(dataDir).filter(isUlid).find(hasMany);
    if (compacted === undefined) throw new Error("the compacted block is gone");
    await findsLostSegments(readBlock(join(dataDir, compacted)));
  });
});

/** Without its first segment, or one between, everything behind is another one. */
async function findsLostSegments(block: Block): Promise<void> {
  for (const lost of ["chunks/000001", "chunks/000002"]) {
    const result = await check(withFile(block, lost, undefined));
    expect(kinds(result)).toContain("segment-name");
    expect(kinds(result)).toContain("chunk-dangling");
  }
}

/** The full check of all blocks in a directory, each by itself and together: no findings. */
async function checkAll(directory: string): Promise<BlockResult[]> {
  const results: BlockResult[] = [];
  for (const block of blocksOf(directory)) results.push(await check(block, { level: "full" }));
  expect(results.flatMap(({ findings }) => findings)).toEqual([]);
  expect(checkSnapshot(results)).toEqual([]);
  return results;
}

function blocksOf(directory: string): Block[] {
  const names = readdirSync(directory).filter(isUlid).sort();
  return names.map((name) => readBlock(join(directory, name)));
}

async function post(url: string, call: string, parameters: Record<string, string>): Promise<void> {
  const query = new URLSearchParams(parameters);
  const response = await fetch(`${url}/api/v1/admin/tsdb/${call}?${query}`, { method: "POST" });
  if (!response.ok) throw new Error(`${call}: ${response.status} ${await response.text()}`);
}

async function untilScraped(url: string, times: number): Promise<void> {
  await until(async () => {
    const answer = await fetch(`${url}/api/v1/query?query=count_over_time(up[1h])`);
    return Number(/"value":\[[^,]*,"(\d+)"/.exec(await answer.text())?.[1]) >= times;
  });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 100_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error("it takes too long");
    await Bun.sleep(100);
  }
}
