import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { run } from "../../scripts/run.ts";
import { isUlid } from "../../src/tsdb/meta.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import {
  type Block,
  check,
  content,
  nativeHistograms,
  readBlock,
  tinyBlock,
  withFile,
  withFlippedBit,
  withMeta,
  writeTo,
} from "./support/blocks.ts";
import { randoms } from "./support/random.ts";
import { UNPROTECTED } from "./support/unprotected.ts";

/** What has let a turned bit pass, by its {@link UNPROTECTED} words. */
const passed = new Set<string>();
/** The blocks that passed with it. */
const unseen: Block[] = [];

/** Every single turned bit of a block is found, but for what {@link UNPROTECTED} lists. */
async function isFound(block: Block, path: string, bit: number): Promise<boolean> {
  const turned = withFile(block, path, withFlippedBit(content(block, path), bit));
  const { findings, meta } = await check(turned);
  if (findings.length > 0) return true;
  const before = (await check(block)).meta;
  if (path !== "meta.json" || before === undefined || meta === undefined) return false;
  const explained = UNPROTECTED.filter(({ explains }) => explains(before, meta));
  for (const { what } of explained) passed.add(what);
  unseen.push(turned);
  return explained.length > 0;
}

async function unfound(block: Block, bits: Iterable<[string, number]>): Promise<string[]> {
  const places: string[] = [];
  for (const [path, bit] of bits) {
    if (!(await isFound(block, path, bit))) places.push(`${path}, bit ${bit & 7} of ${bit >>> 3}`);
  }
  return places;
}

function* everyBit(block: Block): Generator<[string, number]> {
  for (const [path, bytes] of block.files) {
    for (let bit = 0; bit < 8 * bytes.length; bit++) yield [path, bit];
  }
}

/** Each file gets its share, as most bytes are of one of them. */
function* someBits(block: Block, ofEachFile: number): Generator<[string, number]> {
  const random = randoms("bits of a block");
  for (const [path, bytes] of block.files) {
    for (let i = 0; i < ofEachFile; i++) yield [path, random.below(8 * bytes.length)];
  }
}

test("every bit of a small block", async () => {
  const block = tinyBlock();
  expect(await unfound(block, everyBit(block))).toEqual([]);
});

test("every bit of a meta.json with all that Prometheus writes in one", async () => {
  const block = withMeta(tinyBlock(), (meta) => {
    meta["stats"] = { ...Object(meta["stats"]), numFloatSamples: 3 };
    meta["compaction"] = {
      level: 2,
      sources: ["01M8204A0SY5ACHASGKYRYK1TA", "01M8204A0SY5ACHASGKYRYK1TB"],
      parents: [{ ulid: "01M8204A0SY5ACHASGKYRYK1TA", minTime: 1, maxTime: 2 }],
      failed: true,
      hints: ["from-out-of-order"],
    };
  });
  expect((await check(block)).findings).toEqual([]);
  const bits = [...everyBit(block)].filter(([path]) => path === "meta.json");
  expect(await unfound(block, bits)).toEqual([]);
  // Nothing is on the list that no bit needs.
  expect([...passed].sort()).toEqual(UNPROTECTED.map(({ what }) => what).sort());
});

test.skipIf(!needs("promtool"))(
  "Prometheus reads each meta.json in which nothing was found",
  async () => {
    expect(unseen.length).toBeGreaterThan(300);
    const dataDir = tempDir();
    unseen.forEach((block, i) => {
      const directory = join(dataDir, `01M8204A0SY5ACHASG${String(i).padStart(8, "0")}`);
      writeTo(directory, block);
    });
    const list = await run([findPrometheus("promtool") ?? "", "tsdb", "list", dataDir]);
    // It passes over those that it can't read.
    expect(list.match(/^01M8204A0SY5ACHASGKYRYK1T9 /gm)).toHaveLength(unseen.length);
  },
);

test.skipIf(!needs("promtool"))("random bits of a block of promtool", async () => {
  const { dataDir } = await makeBlocks({ hours: 2, series: 10 });
  const [name = ""] = readdirSync(dataDir).filter(isUlid);
  const block = readBlock(join(dataDir, name));
  expect(await unfound(block, someBits(block, 1000))).toEqual([]);
});

test.skipIf(!needs("prometheus", "promtool"))("every bit of tombstones", async () => {
  const { dataDir } = await makeBlocks({ hours: 2, series: 10 });
  const prometheus = await startPrometheus({ dataDir });
  const deleted = new URLSearchParams({ "match[]": "demo_requests_total" });
  const call = `${prometheus.url}/api/v1/admin/tsdb/delete_series?${deleted}`;
  expect((await fetch(call, { method: "POST" })).status).toBe(204);
  await prometheus.stop();
  const [name = ""] = readdirSync(dataDir).filter(isUlid);
  const block = readBlock(join(dataDir, name));
  expect((await check(block)).meta?.stats.numTombstones).toBe(10);
  const bits = [...everyBit(block)].filter(([path]) => path === "tombstones");
  expect(bits.length).toBeGreaterThan(8 * 100);
  expect(await unfound(block, bits)).toEqual([]);
});

test("random bits of a block with native histograms", async () => {
  const block = await nativeHistograms();
  expect(await unfound(block, someBits(block, 10))).toEqual([]);
});
