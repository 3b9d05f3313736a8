import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isUlid } from "../../src/tsdb/meta.ts";
import { makeBlocks } from "../support/prometheus.ts";
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
} from "./support/blocks.ts";
import { randoms } from "./support/random.ts";

/**
 * Every single turned bit of a block is found, but for those of meta.json that its reader does not
 * see, or that make the range of time wider: the file has no checksum.
 */
async function isFound(block: Block, path: string, bit: number): Promise<boolean> {
  const turned = withFile(block, path, withFlippedBit(content(block, path), bit));
  const { findings, meta } = await check(turned);
  if (findings.length > 0) return true;
  if (path !== "meta.json") return false;
  const before = (await check(block)).meta;
  const reads = (from: typeof meta) => ({
    ...from,
    minTime: 0,
    maxTime: 0,
    // No sample depends on these.
    compaction: { ...from?.compaction, level: 0, sources: [] },
  });
  expect(reads(meta)).toEqual(reads(before));
  expect(meta?.minTime).toBeLessThanOrEqual(before?.minTime ?? 0);
  expect(meta?.maxTime).toBeGreaterThanOrEqual(before?.maxTime ?? 0);
  return true;
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

test.skipIf(!needs("promtool"))("random bits of a block of promtool", async () => {
  const { dataDir } = await makeBlocks({ hours: 2, series: 10 });
  const [name = ""] = readdirSync(dataDir).filter(isUlid);
  const block = readBlock(join(dataDir, name));
  expect(await unfound(block, someBits(block, 1000))).toEqual([]);
});

test("random bits of a block with native histograms", async () => {
  const block = await nativeHistograms();
  expect(await unfound(block, someBits(block, 10))).toEqual([]);
});
