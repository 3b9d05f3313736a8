import { viewOf } from "../../../src/tsdb/bytes.ts";
import { encodingOf } from "../../../src/tsdb/chunks/decode.ts";
import { crc32c } from "../../../src/tsdb/crc32c.ts";
import type { Block } from "./blocks.ts";
import { putUint32, putUint64, putUvarint, putVarint } from "./encode.ts";

/** A chunk as it goes into a segment, and as the index describes it. */
export interface ChunkModel {
  readonly encoding: number;
  readonly data: Uint8Array;
  readonly first: number;
  readonly last: number;
  /** The segment that it goes into, from 0. */
  readonly segment?: number;
  /** What the index has instead of the record's place; NONE leaves it out of the index. */
  readonly reference?: number;
}

export interface SeriesModel {
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly chunks: readonly ChunkModel[];
}

/** A block's content, with what is to be wrong about it although every checksum is right. */
export interface BlockModel {
  readonly series: readonly SeriesModel[];
  /** In place of the sorted strings of all labels. */
  readonly symbols?: readonly string[];
  /** Changes the postings lists, by `name=value` and in the order of the table; "=" is all series. */
  readonly postings?: (lists: Map<string, number[]>) => void;
  /** False to write no label indices, as Prometheus since 3.7. */
  readonly labelIndices?: boolean;
  /** Changes what meta.json says. */
  readonly meta?: Readonly<Record<string, unknown>>;
  readonly stats?: Readonly<Record<string, number>>;
  readonly tombstones?: readonly (readonly [series: number, first: number, last: number])[];
}

export const NONE = -1;

const NAME = "01M8204A0SY5ACHASGKYRYK1T9";

/** Writes a block the way Prometheus 2.42 does. */
export function writeBlock(model: BlockModel): Block {
  const { segments, references } = writeSegments(model.series);
  const files = new Map<string, Uint8Array>();
  segments.forEach((bytes, i) => {
    files.set(segmentName(i), Uint8Array.from(bytes));
  });
  files.set("index", writeIndex(model, references));
  files.set("meta.json", new TextEncoder().encode(JSON.stringify(metaOf(model))));
  const stones = (model.tombstones ?? []).flatMap(([series, first, last]) => [
    ...putUvarint(series),
    ...putVarint(first),
    ...putVarint(last),
  ]);
  const tombstones = [0x01, 0x30, 0xba, 0x30, 1, ...stones, ...checksum(stones)];
  files.set("tombstones", Uint8Array.from(tombstones));
  return { name: NAME, files };
}

function segmentName(index: number): string {
  return `chunks/${String(index + 1).padStart(6, "0")}`;
}

function checksum(bytes: readonly number[]): number[] {
  return putUint32(crc32c(viewOf(Uint8Array.from(bytes)), 0, bytes.length));
}

function writeSegments(series: readonly SeriesModel[]) {
  const segments: number[][] = [];
  const references = new Map<ChunkModel, number>();
  for (const chunk of series.flatMap(({ chunks }) => chunks)) {
    const number = chunk.segment ?? 0;
    segments[number] ??= [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
    const segment = segments[number] ?? [];
    references.set(chunk, chunk.reference ?? number * 2 ** 32 + segment.length);
    const record = [chunk.encoding, ...chunk.data];
    segment.push(...putUvarint(chunk.data.length), ...record, ...checksum(record));
  }
  return { segments, references };
}

function metaOf(model: BlockModel): unknown {
  const chunks = model.series.flatMap((series) => series.chunks);
  const samples = chunks.map(({ encoding, data }) => {
    const count = ((data[0] ?? 0) << 8) | (data[1] ?? 0);
    return count & (encodingOf(encoding)?.countMask ?? 0);
  });
  return {
    ulid: NAME,
    minTime: Math.min(...chunks.map(({ first }) => first)),
    maxTime: Math.max(...chunks.map(({ last }) => last)) + 1,
    stats: {
      numSamples: samples.reduce((sum, count) => sum + count, 0),
      numSeries: model.series.length,
      numChunks: chunks.filter(({ reference }) => reference !== NONE).length,
      numTombstones: model.tombstones?.length ?? 0,
      ...model.stats,
    },
    compaction: { level: 1, sources: [NAME] },
    version: 1,
    ...model.meta,
  };
}

function writeIndex(model: BlockModel, references: Map<ChunkModel, number>): Uint8Array {
  const strings = model.series.flatMap(({ labels }) => labels.flat());
  const symbols = model.symbols ?? [...new Set(["", ...strings])].sort(byBytes);
  const index = [0xba, 0xaa, 0xd7, 0x00, 2];
  const align = (to: number) => {
    while (index.length % to !== 0) index.push(0);
  };
  const section = (content: readonly number[]) => {
    const start = index.length;
    index.push(...putUint32(content.length), ...content, ...checksum(content));
    return start;
  };

  const symbolsAt = section([...putUint32(symbols.length), ...symbols.flatMap(putString)]);
  const seriesAt = index.length;
  const lists = new Map<string, number[]>([["=", []]]);
  for (const series of model.series) {
    align(16);
    const id = index.length / 16;
    lists.get("=")?.push(id);
    for (const [name, value] of series.labels) {
      const key = `${name}=${value}`;
      lists.set(key, [...(lists.get(key) ?? []), id]);
    }
    const body = seriesBody(series, symbols, references);
    index.push(...putUvarint(body.length), ...body, ...checksum(body));
  }
  const sorted = new Map([...lists].sort(([a], [b]) => byPair(a, b)));

  const labelIndicesAt = index.length;
  const labelIndices = new Map<string, number>();
  const hasLabelIndices = model.labelIndices ?? true;
  for (const [name, values] of hasLabelIndices ? valuesByName(sorted) : []) {
    align(4);
    const ids = values.flatMap((value) => putUint32(symbols.indexOf(value)));
    labelIndices.set(name, section([...putUint32(1), ...putUint32(values.length), ...ids]));
  }

  const postingsAt = index.length;
  model.postings?.(sorted);
  const offsets = new Map<string, number>();
  for (const [key, ids] of sorted) {
    align(4);
    offsets.set(key, section([...putUint32(ids.length), ...ids.flatMap(putUint32)]));
  }

  const entries = [...labelIndices].flatMap(([name, at]) => [
    1,
    ...putString(name),
    ...putUvarint(at),
  ]);
  const labelTableAt = index.length;
  if (hasLabelIndices) section([...putUint32(labelIndices.size), ...entries]);
  const pairs = [...offsets].flatMap(([key, at]) => {
    const [name, value] = splitPair(key);
    return [2, ...putString(name), ...putString(value), ...putUvarint(at)];
  });
  const postingsTableAt = section([...putUint32(offsets.size), ...pairs]);
  const toc = [symbolsAt, seriesAt, labelIndicesAt, labelTableAt, postingsAt, postingsTableAt];
  const tocBytes = toc.flatMap(putUint64);
  index.push(...tocBytes, ...checksum(tocBytes));
  return Uint8Array.from(index);
}

function seriesBody(
  { labels, chunks }: SeriesModel,
  symbols: readonly string[],
  references: Map<ChunkModel, number>,
): number[] {
  const referred = chunks.filter(({ reference }) => reference !== NONE);
  const body = putUvarint(labels.length);
  for (const string of labels.flat()) {
    const symbol = symbols.indexOf(string);
    // One that is missing gets a number that no symbol has.
    body.push(...putUvarint(symbol < 0 ? symbols.length : symbol));
  }
  body.push(...putUvarint(referred.length));
  let before: { last: number; reference: number } | undefined;
  for (const chunk of referred) {
    const { first, last } = chunk;
    const reference = references.get(chunk) ?? 0;
    body.push(...(before ? putUvarint(first - before.last) : putVarint(first)));
    body.push(...putUvarint(last - first));
    body.push(...(before ? putVarint(reference - before.reference) : putUvarint(reference)));
    before = { last, reference };
  }
  return body;
}

function valuesByName(lists: ReadonlyMap<string, unknown>): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const key of lists.keys()) {
    const [name, value] = splitPair(key);
    if (name !== "") values.set(name, [...(values.get(name) ?? []), value]);
  }
  return values;
}

function putString(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...putUvarint(bytes.length), ...bytes];
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function splitPair(key: string): [name: string, value: string] {
  const at = key.indexOf("=");
  return [key.slice(0, at), key.slice(at + 1)];
}

function byPair(a: string, b: string): number {
  const [nameA, valueA] = splitPair(a);
  const [nameB, valueB] = splitPair(b);
  return byBytes(nameA, nameB) || byBytes(valueA, valueB);
}
