import { describe, expect, test } from "bun:test";
import { BlockCheck } from "../../src/tsdb/check-block.ts";
import { KEPT_PER_KIND } from "../../src/tsdb/findings.ts";
import { writeBlock } from "./support/block-writer.ts";
import {
  type Block,
  check,
  chunkVectors,
  content,
  kinds,
  nativeHistograms,
  tinyBlock,
  withByte,
  withFile,
} from "./support/blocks.ts";
import { DAMAGES } from "./support/damages.ts";

const TINY = tinyBlock();
const NATIVE = await nativeHistograms();

describe.each(["structure", "full"] as const)("at level %s", (level) => {
  test("a sound block has no findings", async () => {
    expect(await check(TINY, { level })).toEqual({
      block: TINY.name,
      meta: expect.objectContaining({ ulid: TINY.name, minTime: 1_700_000_000_000 }),
      bytes: [...TINY.files.values()].reduce((sum, { length }) => sum + length, 0),
      series: 2,
      chunks: 2,
      samples: 3,
      encodings: [{ code: 1, name: "XOR", holds: "floats", chunks: 2, samples: 3 }],
      findings: [],
      counts: [],
      errors: 0,
      warnings: 0,
    });
  });

  test("so has one with native histograms", async () => {
    const result = await check(NATIVE, { level });
    expect(result).toMatchObject({
      series: 2530,
      chunks: 32_492,
      samples: 3_567_646,
      findings: [],
    });
    expect(result.encodings.map(({ code, chunks }) => [code, chunks])).toEqual([
      [1, 31_981],
      [2, 297],
      [3, 214],
    ]);
  });

  test("so has one of every encoding", async () => {
    const result = await check(everyEncoding(), { level });
    expect(result.findings).toEqual([]);
    expect(result.encodings.map(({ code, chunks }) => [code, chunks])).toEqual([
      [1, 25],
      [2, 20],
      [3, 20],
      [4, 125],
      [5, 100],
      [6, 100],
    ]);
  });

  test.each(DAMAGES.map((damage) => [damage.name, damage] as const))(
    "finds %s, and nothing else",
    async (_, damage) => {
      const result = await check(damage.make(TINY), { level });
      expect(kinds(result).sort()).toEqual([...damage.kinds].sort());
    },
  );

  test.each([1, 2, 3, 7, 8, 13, 64, 1000])(
    "pieces of %d bytes make no difference",
    async (piece) => {
      for (const { make } of [{ make: (block: Block) => block }, ...DAMAGES]) {
        const block = make(TINY);
        expect(await check(block, { level, piece })).toEqual(await check(block, { level }));
      }
    },
  );
});

test("pieces of any size make no difference to a large block", async () => {
  const damaged = withFile(
    NATIVE,
    "chunks/000001",
    withByte(content(NATIVE, "chunks/000001"), 1_000_000, (byte) => byte ^ 4),
  );
  const expected = await check(damaged, { level: "full" });
  expect(kinds(expected)).toEqual(["chunk-checksum"]);
  for (const piece of [1000, 4097, 65_536, 10_000_000]) {
    expect(await check(damaged, { level: "full", piece })).toEqual(expected);
  }
});

test("any order of the files makes no difference", async () => {
  for (const { make } of [{ make: (block: Block) => block }, ...DAMAGES]) {
    const block = make(TINY);
    const expected = await check(block);
    for (const order of permutations([...block.files.keys()].sort()).slice(0, 24)) {
      const result = await check(block, { order });
      expect({ ...result, findings: [] }).toEqual({
        ...expected,
        findings: [],
        counts: result.counts,
      });
      expect(new Set(result.findings)).toEqual(new Set(expected.findings));
    }
  }
});

describe("a finding", () => {
  test("names block, file, offset, what is lost, what Prometheus does and what to do", async () => {
    const segment = withByte(content(TINY, "chunks/000001"), 0x14, 9);
    const { findings } = await check(withFile(TINY, "chunks/000001", segment));
    expect(findings).toEqual([
      {
        kind: "chunk-checksum",
        severity: "error",
        block: TINY.name,
        file: "chunks/000001",
        offset: 8,
        message: expect.stringMatching(
          /^the chunk's checksum is [0-9a-f]{8}, not the stored ac6b3cf0$/,
        ),
        affects: 'test_total{job="a"}, 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:35.000Z',
        consequence: "queries fail",
        remedy: expect.stringContaining("restore this block from another backup"),
      },
    ]);
  });

  test("of a kind that is found often is kept a few times, and counted", async () => {
    const segment = content(NATIVE, "chunks/000001").slice();
    for (let at = 100_000; at < segment.length; at += 10_000) segment[at] = (segment[at] ?? 0) ^ 1;
    const { findings, counts, errors } = await check(withFile(NATIVE, "chunks/000001", segment));
    expect(findings.filter(({ kind }) => kind === "chunk-checksum")).toHaveLength(KEPT_PER_KIND);
    const count = counts.find(({ kind }) => kind === "chunk-checksum")?.count ?? 0;
    // Some hit the length of a chunk, behind which the rest can't be told.
    expect(count).toBeGreaterThan(KEPT_PER_KIND);
    expect(errors).toBe(counts.reduce((sum, { count }) => sum + count, 0));
  });
});

test("a file that comes twice is found, and counts once", async () => {
  using blockCheck = new BlockCheck(TINY.name, "structure");
  for (const path of ["chunks/000001", "index", "meta.json", "tombstones", "index"]) {
    await blockCheck.file(path, new Blob([content(TINY, path).slice().buffer]).stream());
  }
  const result = await blockCheck.finish();
  expect(kinds(result)).toEqual(["file-twice"]);
  expect(result.series).toBe(2);
});

test("a directory that blocks don't have is found", async () => {
  using blockCheck = new BlockCheck(TINY.name, "structure");
  blockCheck.directory("chunks");
  blockCheck.directory("chunks/old");
  for (const [path, bytes] of TINY.files) {
    await blockCheck.file(path, new Blob([bytes.slice().buffer]).stream());
  }
  expect(kinds(await blockCheck.finish())).toEqual(["file-unknown"]);
});

test("a block of no files at all is told part by part", async () => {
  using blockCheck = new BlockCheck(TINY.name, "full");
  const expected = ["meta-missing", "chunks-missing", "index-missing", "tombstones-missing"];
  expect(kinds(await blockCheck.finish())).toEqual(expected as never[]);
});

/** A block with each chunk of the vectors in a series of its own. */
function everyEncoding(): Block {
  const series = chunkVectors().map(({ encoding, first, last, data }, i) => ({
    labels: [["__name__", `vector_${String(i).padStart(3, "0")}`]] as const,
    chunks: [{ encoding, data, first, last }],
  }));
  return writeBlock({ series });
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, i) =>
    permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]),
  );
}
