import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../../scripts/prometheus.ts";
import { makeRandomWalk } from "../../../scripts/random-walk.ts";
import { ChunkReferences } from "../../../src/tsdb/chunks/references.ts";
import { Segments } from "../../../src/tsdb/chunks/segments.ts";
import { type Finding, Findings } from "../../../src/tsdb/findings.ts";
import { checkIndex } from "../../../src/tsdb/index/check-index.ts";
import { isUlid } from "../../../src/tsdb/meta.ts";
import { WINDOW } from "../../../src/tsdb/scan.ts";
import { Spool } from "../../../src/tsdb/spool.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import { type Block, content, readBlock, withByte, withFlippedBit } from "../support/blocks.ts";
import { randoms } from "../support/random.ts";

/** An index of several windows is the same in memory and in a temporary file. */

const SERIES = 40_000;

describe.skipIf(!needs("promtool"))("an index of many series", async () => {
  const block = await blockOfManySeries();
  const index = block === undefined ? new Uint8Array(0) : content(block, "index");

  async function findings(bytes: Uint8Array, memory: number): Promise<readonly Finding[]> {
    const found = new Findings("block");
    const segments = new Segments(found, false);
    const segment = segments.open("chunks/000001");
    if (block !== undefined) segment?.push(content(block, "chunks/000001"));
    segment?.end();
    using spool = new Spool(0, memory);
    spool.push(bytes);
    const references = new ChunkReferences(segments.ordered(), found);
    const series = await checkIndex(spool, undefined, references, found);
    if (series?.complete) expect([series.ids.length, series.chunks]).toEqual([SERIES, SERIES]);
    return found.list;
  }

  test("is of several windows, and sound", async () => {
    expect(index.length).toBeGreaterThan(3 * WINDOW);
    expect(await findings(index, Number.POSITIVE_INFINITY)).toEqual([]);
    expect(await findings(index, 0)).toEqual([]);
  });

  test("is damaged in the same way wherever it is kept", async () => {
    const random = randoms("bits of a large index");
    for (let round = 0; round < 25; round++) {
      const turned = withFlippedBit(index, random.below(8 * index.length));
      const inMemory = await findings(turned, Number.POSITIVE_INFINITY);
      expect(inMemory.length).toBeGreaterThan(0);
      expect(await findings(turned, 0)).toEqual(inMemory);
    }
  });

  test("ends where an entry is said to go on for ever", async () => {
    // The first series: its length becomes one of five bytes.
    const start =
      Math.ceil(Number(new DataView(index.buffer).getBigUint64(index.length - 44)) / 16) * 16;
    const endless = [255, 255, 255, 255, 127].reduce(
      (bytes, value, i) => withByte(bytes, start + i, value),
      index,
    );
    const found = await findings(endless, 0);
    expect(found.map(({ kind, offset }) => [kind, offset])).toContainEqual([
      "series-damaged",
      start,
    ]);
  });
});

/** Two samples a series, so that there is little but the index. */
async function blockOfManySeries(): Promise<Block | undefined> {
  const promtool = findPrometheus("promtool");
  if (promtool === undefined) return undefined;
  const dataDir = tempDir();
  const walk = { dataDir, hours: 2, series: SERIES, stepSeconds: 3600, kind: "dense" } as const;
  await makeRandomWalk(promtool, walk);
  const [name = ""] = readdirSync(dataDir).filter(isUlid);
  return readBlock(join(dataDir, name));
}
