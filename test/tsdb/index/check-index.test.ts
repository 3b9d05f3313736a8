import { expect, test } from "bun:test";
import type { BlockResult } from "../../../src/tsdb/check-block.ts";
import type { ProblemKind } from "../../../src/tsdb/problems.ts";
import {
  type BlockModel,
  type ChunkModel,
  NONE,
  type SeriesModel,
  writeBlock,
} from "../support/block-writer.ts";
import { check, kinds } from "../support/blocks.ts";
import { floatChunk } from "../support/float-chunk.ts";

/** What can be wrong with an index although all its checksums are right: what its writer did. */

const A = series("a", [0, 10, 20], [30, 40]);
const B = series("b", [0, 10, 20], [30, 40]);
const C = series("c", [5]);
const SOUND: BlockModel = { series: [A, B, C] };

function series(job: string, ...chunks: number[][]): SeriesModel {
  return withLabels([["job", job]], ...chunks.map((times) => floatChunk(times)));
}

function withLabels(labels: [string, string][], ...chunks: ChunkModel[]): SeriesModel {
  return { labels: [["__name__", "up"], ...labels], chunks };
}

function named(name: string, labels: [string, string][]): SeriesModel {
  return { labels: [["__name__", name], ...labels], chunks: [floatChunk([1])] };
}

/** The series with its first chunk, or what the index says of it, changed. */
function firstChunk({ labels, chunks }: SeriesModel, change: Partial<ChunkModel>): SeriesModel {
  return { labels, chunks: chunks.map((chunk, i) => (i === 0 ? { ...chunk, ...change } : chunk)) };
}

function postings(change: (lists: Map<string, number[]>) => void): BlockModel {
  return { ...SOUND, postings: change };
}

function move(lists: Map<string, number[]>, key: string): void {
  const list = lists.get(key) ?? [];
  lists.delete(key);
  lists.set(key, list);
}

const run = (model: BlockModel): Promise<BlockResult> =>
  check(writeBlock(model), { level: "full" });

const NEGATIVE_TIMES = series("d", [-50, -40], [-40, -5]);

test.each<[string, BlockModel]>([
  ["the block in which the faults are made", SOUND],
  ["a block without label indices, as since Prometheus 3.7", { ...SOUND, labelIndices: false }],
  [
    "symbols that no label has",
    { ...SOUND, symbols: ["", "__name__", "a", "b", "c", "job", "up", "x"] },
  ],
  ["a chunk that begins when the one before ends", { series: [series("a", [0, 10], [10, 20])] }],
  ["times before 1970", { series: [A, B, C, NEGATIVE_TIMES] }],
  ["a range wider than its samples", { ...SOUND, meta: { minTime: -1000, maxTime: 1000 } }],
  ["samples told by kind", { ...SOUND, stats: { numFloatSamples: 11 } }],
  [
    "series that differ in their number of labels",
    { series: [withLabels([], floatChunk([1])), A] },
  ],
  ["tombstones", { ...SOUND, tombstones: [[5, 0, 10]] }],
  [
    "chunks in two segments",
    { series: [A, { ...B, chunks: B.chunks.map((chunk) => ({ ...chunk, segment: 1 })) }] },
  ],
])("%s is sound", async (_, model) => {
  expect((await run(model)).findings).toEqual([]);
});

test.each<[string, ProblemKind[], BlockModel]>([
  // Symbols.
  [
    "symbols out of order",
    ["symbols-order", "series-labels"],
    {
      series: [series("b", [1]), series("a", [1])],
      symbols: ["", "job", "b", "a", "__name__", "up"],
    },
  ],
  [
    "a symbol that comes twice",
    ["symbols-order"],
    { ...SOUND, symbols: ["", "__name__", "a", "b", "c", "job", "job", "up"] },
  ],

  // Labels.
  [
    "labels out of order",
    ["series-labels"],
    {
      series: [
        withLabels(
          [
            ["job", "a"],
            ["env", "x"],
          ],
          floatChunk([1]),
        ),
      ],
    },
  ],
  [
    "a label that comes twice",
    ["series-labels"],
    {
      series: [
        withLabels(
          [
            ["job", "a"],
            ["job", "b"],
          ],
          floatChunk([1]),
        ),
      ],
    },
  ],
  ["a label without a value", ["series-empty-value"], { series: [series("", [1])] }],
  ["series out of order", ["series-order"], { series: [B, A] }],
  ["a series that comes twice", ["series-order"], { series: [A, series("a", [0, 10])] }],
  [
    "a longer series before its beginning",
    ["series-order"],
    { series: [A, withLabels([], floatChunk([1]))] },
  ],

  [
    "a label that is no symbol, of a series between sound ones",
    ["series-damaged"],
    {
      series: [
        named("a", [["job", "z"]]),
        named("b", [["job", "a"]]),
        named("c", [["job", "nowhere"]]),
        named("c", [["job", "d"]]),
      ],
      symbols: ["", "__name__", "a", "b", "c", "d", "job", "z"],
    },
  ],

  // Chunks.
  [
    "chunks of a series out of order",
    ["series-chunks"],
    { series: [series("a", [30, 40], [0, 10])] },
  ],
  ["chunks that overlap", ["series-chunks-overlap"], { series: [series("a", [0, 20], [10, 30])] }],
  ["a sample before the block's range", ["series-range"], { ...SOUND, meta: { minTime: 1 } }],
  [
    "a sample at the end of the block's range",
    ["series-range"],
    { ...SOUND, meta: { maxTime: 40 } },
  ],
  [
    "a reference to no chunk",
    ["chunk-dangling", "chunk-unreferenced"],
    { series: [firstChunk(A, { reference: 9 }), B] },
  ],
  [
    "a reference to no segment",
    ["chunk-dangling", "chunk-unreferenced"],
    { series: [A, firstChunk(B, { reference: 3 * 2 ** 32 + 8 })] },
  ],
  [
    "two references to a chunk",
    ["chunk-shared", "chunk-disordered", "chunk-unreferenced"],
    { series: [A, firstChunk(B, { reference: 8 })] },
  ],
  [
    "a chunk without a reference",
    ["chunk-unreferenced"],
    { series: [A, firstChunk(B, { reference: NONE })], stats: { numSamples: 10 } },
  ],
  [
    "chunks that do not lie in the order of the series",
    ["chunk-disordered"],
    { series: [{ ...A, chunks: A.chunks.map((chunk) => ({ ...chunk, segment: 1 })) }, B] },
  ],
  [
    "a chunk that begins before the index says",
    ["chunk-times"],
    { series: [firstChunk(A, { first: 5 }), B] },
  ],
  [
    "a chunk that ends after the index says",
    ["chunk-times"],
    { series: [firstChunk(A, { last: 15 }), B] },
  ],
  [
    "a chunk that ends before the index says",
    ["chunk-times-narrow"],
    { series: [firstChunk(A, { last: 25 }), B] },
  ],
  [
    "a chunk of no samples",
    ["chunk-contradictory"],
    { series: [firstChunk(A, { data: new Uint8Array(20) }), B], stats: { numSamples: 7 } },
  ],
  [
    "a chunk too short for its samples",
    ["chunk-undecodable"],
    { series: [firstChunk(A, { data: floatChunk([0, 10, 20]).data.slice(0, 12) }), B] },
  ],
  [
    "a chunk of no bytes",
    ["chunk-record", "chunk-unchecked"],
    { series: [firstChunk(A, { data: new Uint8Array(0) })], stats: { numSamples: 0 } },
  ],

  // Postings.
  [
    "a list that lacks a series",
    ["postings-content"],
    postings((lists) => lists.get("__name__=up")?.pop()),
  ],
  [
    "a list with another series of the same count",
    ["postings-content"],
    postings((lists) => lists.set("job=b", lists.get("job=a") ?? [])),
  ],
  [
    "a list with other series of the same count and sum",
    ["postings-content"],
    postings((lists) => {
      const [first = 0, second = 0, third = 0] = lists.get("=") ?? [];
      lists.set("__name__=up", [first - 1, second, third + 1]);
    }),
  ],
  [
    "a list that does not ascend",
    ["postings-content"],
    postings((lists) => lists.get("__name__=up")?.reverse()),
  ],
  [
    "a list of all that lacks a series",
    ["postings-all"],
    postings((lists) => lists.get("=")?.pop()),
  ],
  [
    "a list of all with a series that is none",
    ["postings-all"],
    postings((lists) => {
      const [first = 0, ...others] = lists.get("=") ?? [];
      lists.set("=", [first - 1, ...others]);
    }),
  ],
  [
    "a label pair without a list",
    ["postings-table-content"],
    postings((lists) => lists.delete("job=b")),
  ],
  [
    "a list of a label pair that no series has",
    ["postings-table-content"],
    postings((lists) => lists.set("job=up", [3])),
  ],
  [
    "a list of a label name that is no symbol",
    ["postings-table", "postings-table-content"],
    postings((lists) => lists.set("zone=up", [3])),
  ],
  ["no list of all", ["postings-table-content"], postings((lists) => lists.delete("="))],
  [
    "the list of all not as the first",
    ["postings-table-content"],
    postings((lists) => move(lists, "=")),
  ],
  [
    "lists out of order",
    ["postings-table-content"],
    postings((lists) => move(lists, "__name__=up")),
  ],

  // Counts and tombstones.
  [
    "samples that are counted as of another kind",
    ["meta-counts"],
    { ...SOUND, stats: { numFloatSamples: 10, numHistogramSamples: 1 } },
  ],
  ["a tombstone of no series", ["tombstones-content"], { ...SOUND, tombstones: [[4, 0, 10]] }],
  [
    "a tombstone that ends before it begins",
    ["tombstones-content"],
    { ...SOUND, tombstones: [[5, 10, 0]] },
  ],
  [
    "tombstones that meta.json does not count",
    ["tombstones-content"],
    { ...SOUND, tombstones: [[5, 0, 10]], stats: { numTombstones: 0 } },
  ],
])("finds %s", async (_, expected, model) => {
  expect(kinds(await run(model)).sort()).toEqual([...expected].sort());
});

test("names the series and the time that a chunk's fault concerns", async () => {
  const { findings } = await run({ series: [A, firstChunk(B, { reference: 9 })] });
  const affects = 'up{job="b"}, 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.020Z';
  expect(findings[0]).toMatchObject({ kind: "chunk-dangling", affects });
});

test("names the label pair whose list is wrong", async () => {
  const { findings } = await run(postings((lists) => lists.get("__name__=up")?.pop()));
  expect(findings.map(({ message }) => message)).toEqual([
    "the list of the series up is wrong: it has 2 series, and 3 have the label",
  ]);
});
