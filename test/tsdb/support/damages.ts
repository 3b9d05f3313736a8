import { viewOf } from "../../../src/tsdb/bytes.ts";
import { crc32c } from "../../../src/tsdb/crc32c.ts";
import type { ProblemKind } from "../../../src/tsdb/problems.ts";
import { type Block, content, withByte, withFile, withMeta } from "./blocks.ts";

/** A way to damage the tiny block, by what is then found: all kinds, and no other. */
export interface Damage {
  readonly name: string;
  readonly kinds: readonly ProblemKind[];
  readonly make: (block: Block) => Block;
  /** Versions of Prometheus differ in what they do. */
  readonly differs?: boolean;
}

const SEGMENT = "chunks/000001";

/** Where things are in the tiny block's files, as the format's description has them. */
const AT = {
  record: 0x08,
  encoding: 0x09,
  value: 0x12,
  secondRecord: 0x24,
  symbol: 0x0f,
  series: 0x32,
  labelIndex: 0x70,
  allPostings: 0x9c,
  postingsOfJob: 0xc0,
  labelOffsetTable: 0xdd,
  postingsTable: 0xf9,
  toc: 0x12f,
};

const turn = (byte: number) => byte ^ 1;

function inFile(path: string, change: (bytes: Uint8Array) => Uint8Array) {
  return (block: Block) => withFile(block, path, change(content(block, path)));
}

const turned = (path: string, at: number) => inFile(path, (bytes) => withByte(bytes, at, turn));
const set = (path: string, at: number, value: number) =>
  inFile(path, (bytes) => withByte(bytes, at, value));
const cut = (path: string, size: number) => inFile(path, (bytes) => bytes.slice(0, size));
const extended = (path: string, by: number) => (block: Block) =>
  inFile(path, (bytes) => Uint8Array.from([...bytes, ...new Uint8Array(by)]))(block);
const without = (path: string) => (block: Block) => withFile(block, path, undefined);

function withoutChunks(hasChunks: boolean) {
  return (block: Block) => ({ ...withFile(block, SEGMENT, undefined), hasChunks });
}

function renamedSegment(name: string) {
  return (block: Block) => withFile(without(SEGMENT)(block), name, content(block, SEGMENT));
}

/** A chunk of an encoding that is yet to come, with the checksum that belongs to it. */
function futureEncoding(block: Block): Block {
  const bytes = withByte(content(block, SEGMENT), AT.encoding, 7);
  const view = viewOf(bytes);
  view.setInt32(0x20, crc32c(view, AT.encoding, 0x20));
  return withFile(block, SEGMENT, bytes);
}

function compaction(change: Record<string, unknown>) {
  return (block: Block) =>
    withMeta(block, (meta) => {
      meta["compaction"] = { ...Object(meta["compaction"]), ...change };
    });
}

/** Prometheus takes the byte for three, as which it replaces it, and then finds the ULID too long. */
function turnedSource(block: Block): Block {
  const bytes = content(block, "meta.json");
  const at = Buffer.from(bytes).lastIndexOf(block.name);
  return withFile(
    block,
    "meta.json",
    withByte(bytes, at, (byte) => byte ^ 0x80),
  );
}

function meta(change: Record<string, unknown>) {
  return (block: Block) => withMeta(block, (fields) => Object.assign(fields, change));
}

function stats(change: Record<string, unknown>) {
  return (block: Block) =>
    withMeta(block, (fields) => {
      fields["stats"] = { ...Object(fields["stats"]), ...change };
    });
}

/** What happens to blocks in real life. */
export const DAMAGES: readonly Damage[] = [
  // Segments.
  { name: "a bit of a sample", kinds: ["chunk-checksum"], make: turned(SEGMENT, AT.value) },
  { name: "a bit of an encoding", kinds: ["chunk-checksum"], make: turned(SEGMENT, AT.encoding) },
  { name: "a bit of a chunk's checksum", kinds: ["chunk-checksum"], make: turned(SEGMENT, -1) },
  {
    name: "a bit of a chunk's length",
    kinds: ["chunk-checksum", "chunk-record", "chunk-unchecked"],
    make: turned(SEGMENT, AT.record),
  },
  { name: "an encoding of the future", kinds: ["chunk-encoding"], make: futureEncoding },
  {
    name: "a segment cut within a chunk",
    kinds: ["chunk-record", "chunk-unchecked"],
    make: inFile(SEGMENT, (bytes) => bytes.slice(0, -10)),
  },
  {
    name: "half a segment",
    kinds: ["chunk-record", "chunk-unchecked"],
    make: cut(SEGMENT, 29),
  },
  {
    name: "a segment cut between two chunks",
    kinds: ["chunk-dangling", "meta-counts"],
    make: cut(SEGMENT, AT.secondRecord),
  },
  {
    name: "a segment of 4 bytes",
    kinds: ["segment-header", "chunk-unchecked"],
    make: cut(SEGMENT, 4),
  },
  { name: "an empty segment", kinds: ["segment-header", "chunk-unchecked"], make: cut(SEGMENT, 0) },
  {
    name: "a segment's magic number",
    kinds: ["segment-header", "chunk-unchecked"],
    make: turned(SEGMENT, 0),
  },
  {
    name: "a segment's version",
    kinds: ["segment-header", "chunk-unchecked"],
    make: set(SEGMENT, 4, 2),
  },
  { name: "zeros behind a segment", kinds: ["segment-zeros"], make: extended(SEGMENT, 4096) },
  { name: "a segment's padding", kinds: ["segment-padding"], make: turned(SEGMENT, 6) },
  {
    name: "a stray file among the segments",
    kinds: ["file-unknown"],
    make: (block) => withFile(block, "chunks/foo.bak", Uint8Array.of(1, 2, 3)),
  },
  {
    name: "no segment",
    kinds: ["chunks-empty", "chunk-dangling", "meta-counts"],
    make: withoutChunks(true),
  },
  {
    name: "no directory of segments",
    kinds: ["chunks-missing", "chunk-dangling", "meta-counts"],
    make: withoutChunks(false),
  },
  {
    name: "a second segment of garbage",
    kinds: ["segment-header"],
    make: (block) => withFile(block, "chunks/000002", new Uint8Array(100).fill(7)),
  },
  {
    name: "a renamed segment",
    kinds: ["segment-name"],
    make: renamedSegment("chunks/000002"),
  },

  // Index.
  { name: "no index", kinds: ["index-missing"], make: without("index") },
  { name: "a bit of a symbol", kinds: ["symbols-damaged"], make: turned("index", AT.symbol) },
  { name: "a bit of a series", kinds: ["series-checksum"], make: turned("index", AT.series) },
  { name: "a bit of a label index", kinds: ["label-index"], make: turned("index", AT.labelIndex) },
  {
    name: "a bit of the list of all",
    kinds: ["postings-all"],
    make: turned("index", AT.allPostings),
  },
  {
    name: "a bit of the length of the list of all",
    kinds: ["postings-all"],
    make: turned("index", 0x93),
  },
  {
    name: "a bit of a postings list",
    kinds: ["postings-damaged"],
    make: turned("index", AT.postingsOfJob),
  },
  {
    name: "a bit of the label offset table",
    kinds: ["label-index"],
    make: turned("index", AT.labelOffsetTable),
  },
  {
    name: "a bit of the postings offset table",
    kinds: ["postings-table"],
    make: turned("index", AT.postingsTable),
  },
  { name: "a bit of the table of contents", kinds: ["index-toc"], make: turned("index", AT.toc) },
  {
    name: "an index without its last byte",
    kinds: ["index-toc"],
    make: inFile("index", (bytes) => bytes.slice(0, -1)),
  },
  { name: "half an index", kinds: ["index-toc"], make: cut("index", 178) },
  { name: "a byte behind the index", kinds: ["index-toc"], make: extended("index", 1) },
  { name: "an empty index", kinds: ["index-header"], make: cut("index", 0) },
  { name: "an index's magic number", kinds: ["index-header"], make: turned("index", 0) },
  { name: "an index of version 9", kinds: ["index-header"], make: set("index", 4, 9) },
  { name: "an index of version 1", kinds: ["index-version-1"], make: set("index", 4, 1) },
  {
    name: "an index of version 3",
    kinds: ["index-version-3"],
    make: set("index", 4, 3),
    differs: true,
  },
  { name: "padding between two series", kinds: ["index-gap"], make: turned("index", 0x46) },

  // meta.json
  { name: "no meta.json", kinds: ["meta-missing"], make: without("meta.json") },
  { name: "a cut meta.json", kinds: ["meta-invalid"], make: cut("meta.json", 100) },
  { name: "an empty meta.json", kinds: ["meta-invalid"], make: cut("meta.json", 0) },
  { name: "a meta.json of version 3", kinds: ["meta-invalid"], make: meta({ version: 3 }) },
  { name: "a meta.json of version 2", kinds: ["meta-version"], make: meta({ version: 2 }) },
  { name: "a wrong number of samples", kinds: ["meta-counts"], make: stats({ numSamples: 4 }) },
  { name: "a wrong number of series", kinds: ["meta-counts"], make: stats({ numSeries: 1 }) },
  { name: "a wrong number of chunks", kinds: ["meta-counts"], make: stats({ numChunks: 9 }) },
  { name: "no statistics", kinds: ["meta-counts"], make: meta({ stats: {} }) },
  { name: "a shorter time range", kinds: ["series-range"], make: meta({ maxTime: 1700000010000 }) },
  {
    name: "a time range that ends before it begins",
    kinds: ["meta-invalid"],
    make: meta({ minTime: 1800000000000 }),
  },
  {
    name: "a time range that ends in a far future",
    kinds: ["meta-range-late"],
    make: meta({ maxTime: 9700000015001 }),
  },
  {
    name: "a time range that begins in a far past",
    kinds: ["meta-unusual"],
    make: meta({ minTime: 170000000000 }),
  },
  {
    name: "an empty time range",
    kinds: ["meta-range"],
    make: meta({ minTime: 1700000000000, maxTime: 1700000000000 }),
  },
  {
    name: "another block's ULID",
    kinds: ["block-name-differs"],
    make: meta({ ulid: "01M8204A0SY5ACHASGKYRYK1TA" }),
  },
  { name: "no compaction", kinds: ["meta-unusual"], make: meta({ compaction: {} }) },
  {
    name: "a source that is no ULID",
    kinds: ["meta-unusual"],
    make: compaction({ sources: ["01M8204A0SY5ACHASGKYRYK1TU"] }),
  },
  { name: "the top bit of a source", kinds: ["meta-invalid"], make: turnedSource },
  {
    name: "a short source",
    kinds: ["meta-invalid"],
    make: compaction({ sources: ["01M8204A0"] }),
  },
  {
    name: "a flag that is none",
    kinds: ["meta-invalid"],
    make: compaction({ failed: "false" }),
  },
  { name: "a deletable block", kinds: ["meta-deletable"], make: compaction({ deletable: true }) },
  { name: "a failed compaction", kinds: [], make: compaction({ failed: true }) },
  { name: "an unknown field of meta.json", kinds: [], make: meta({ thanos: { labels: {} } }) },

  // Tombstones.
  { name: "no tombstones", kinds: ["tombstones-missing"], make: without("tombstones") },
  {
    name: "a tombstones file of 0 bytes",
    kinds: ["tombstones-damaged"],
    make: cut("tombstones", 0),
  },
  {
    name: "a tombstones file of 3 bytes",
    kinds: ["tombstones-damaged"],
    make: cut("tombstones", 3),
  },
  {
    name: "a tombstones file of 8 bytes",
    kinds: ["tombstones-damaged"],
    make: cut("tombstones", 8),
  },
  {
    name: "the tombstones' checksum",
    kinds: ["tombstones-damaged"],
    make: turned("tombstones", -1),
  },
  { name: "the tombstones' version", kinds: ["tombstones-damaged"], make: set("tombstones", 4, 2) },

  {
    name: "a directory that is not named by a ULID",
    kinds: ["block-name"],
    make: (block) => ({ ...block, name: "backup-of-a-block" }),
  },
  {
    name: "a directory's name in lower case",
    kinds: ["block-name-case"],
    make: (block) => ({ ...block, name: block.name.toLowerCase() }),
  },
];
