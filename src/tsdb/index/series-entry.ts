import { ByteReader } from "../bytes.ts";
import type { ChunkEntry, ChunkReferences } from "../chunks/references.ts";
import type { Findings } from "../findings.ts";
import type { ProblemKind } from "../problems.ts";
import { fingerprint, type LabelPairs } from "./label-pairs.ts";
import { SERIES_ALIGNMENT } from "./section.ts";
import { seriesText, timeText } from "./series-text.ts";
import type { Symbols } from "./symbols.ts";

/** A chunk's reference is its segment times this, plus its offset there. */
const SEGMENT = 2 ** 32;

/** The half-open range of times, in milliseconds, that meta.json gives the block. */
export interface TimeRange {
  readonly minTime: number;
  readonly maxTime: number;
}

/** More than fit in any index. */
const MOST_SYMBOLS = 2 ** 31 - 1;

/** The times of the first and last samples of all chunks, in milliseconds; without any, infinite. */
export interface TimeSpan {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads the series of an index one after the other, each
 *
 *     labels uvarint · per label: name uvarint · value uvarint, numbers of symbols, by name
 *     chunks uvarint · first chunk: first time varint · last minus first uvarint · reference uvarint
 *     further chunks: first time minus last of the one before uvarint (of its 64 bits, if
 *         negative) · last minus first uvarint · reference minus the one before varint
 *
 * and hands its chunks and label pairs on. The object holds what a series is compared with: the one
 * before it.
 */
export class SeriesEntry {
  chunks = 0;
  /** The times of the first and last samples. */
  first = Number.POSITIVE_INFINITY;
  last = Number.NEGATIVE_INFINITY;
  readonly #symbols: Symbols | undefined;
  readonly #symbolCount: number;
  /** The number of the empty string, or one that no symbol has. */
  readonly #empty: number;
  readonly #range: TimeRange;
  readonly #pairs: LabelPairs;
  readonly #references: ChunkReferences;
  readonly #findings: Findings;
  readonly #reader = new ByteReader();
  /** Names and values in turn, so many of them: of this series. In the other array, those of the one before. */
  #labels = new Int32Array(0);
  #length = 0;
  #otherLabels = new Int32Array(0);
  readonly #chunk: ChunkEntry = { segment: 0, offset: 0, minTime: 0, maxTime: 0 };
  readonly #describeSeries = () =>
    this.#symbols === undefined
      ? "a series"
      : seriesText(this.#labels.subarray(0, this.#length), this.#symbols);
  readonly #describeChunk = () =>
    `${this.#describeSeries()}, ${timeText(this.#chunk.minTime)} to ${timeText(this.#chunk.maxTime)}`;

  constructor(
    symbols: Symbols | undefined,
    range: TimeRange | undefined,
    pairs: LabelPairs,
    references: ChunkReferences,
    findings: Findings,
  ) {
    this.#symbols = symbols;
    this.#symbolCount = symbols?.count ?? MOST_SYMBOLS;
    this.#empty = symbols !== undefined && symbols.text(0) === "" ? 0 : -1;
    this.#range = range ?? { minTime: Number.NEGATIVE_INFINITY, maxTime: Number.POSITIVE_INFINITY };
    this.#pairs = pairs;
    this.#references = references;
    this.#findings = findings;
  }

  /**
   * Reads the series in `bytes[start, end)`.
   *
   * @param position of the entry in the file.
   * @returns whether it could be read.
   */
  read(bytes: Uint8Array, start: number, end: number, position: number): boolean {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    const fault = this.#readLabels(position) ?? this.#readChunks(position);
    if (fault === undefined && reader.left === 0) return true;
    const text = fault ?? `it has ${reader.left} bytes too many`;
    this.#findings.add("series-damaged", "index", position, `a series can't be read: ${text}`);
    return false;
  }

  /** Reads the labels. Answers why that is not possible. */
  #readLabels(position: number): string | undefined {
    const reader = this.#reader;
    const count = reader.uint31();
    // A label takes two bytes at least, so a wrong count can't ask for much memory.
    if (reader.failed || 2 * count > reader.left) return "it ends within its labels";
    const before = this.#labels;
    const lengthBefore = this.#length;
    const labels =
      this.#otherLabels.length < 2 * count ? new Int32Array(4 * count) : this.#otherLabels;
    this.#otherLabels = before;
    this.#labels = labels;
    this.#length = 2 * count;
    const mark = fingerprint(position / SERIES_ALIGNMENT);
    let nameBefore = -1;
    let sorted = true;
    let hasEmpty = false;
    // By the first label that differs from those of the series before; one more is a difference, too.
    let order = 0;
    for (let at = 0; at < 2 * count; at += 2) {
      const name = reader.uint31();
      const value = reader.uint31();
      if (name >= this.#symbolCount || value >= this.#symbolCount) {
        this.#length = at;
        return `a label is symbol ${Math.max(name, value)} of ${this.#symbolCount}`;
      }
      labels[at] = name;
      labels[at + 1] = value;
      if (order === 0) {
        order = at < lengthBefore ? name - (before[at] ?? 0) || value - (before[at + 1] ?? 0) : 1;
      }
      this.#pairs.add(name, value, mark);
      sorted &&= name > nameBefore;
      hasEmpty ||= value === this.#empty;
      nameBefore = name;
    }
    if (reader.failed) return "it ends within its labels";
    if (!sorted) this.#find("series-labels", position, "a series' labels are not in order");
    if (hasEmpty)
      this.#find("series-empty-value", position, "a series has a label without a value");
    if (order <= 0)
      this.#find("series-order", position, "a series is not behind the one before it");
    return undefined;
  }

  /** Reads the chunks. Answers why that is not possible. */
  #readChunks(position: number): string | undefined {
    const reader = this.#reader;
    const chunk = this.#chunk;
    const count = reader.uint31();
    let reference = 0;
    for (let i = 0; i < count; i++) {
      const minTime = i === 0 ? reader.varint() : chunk.maxTime + reader.uvarintAsSigned();
      const maxTime = minTime + reader.uvarint();
      reference += i === 0 ? reader.uvarint() : reader.varint();
      if (reader.failed || reference < 0) return "it ends within its chunks";
      if (i > 0 && minTime < chunk.maxTime) this.#disordered(position, minTime < chunk.minTime);
      chunk.minTime = minTime;
      chunk.maxTime = maxTime;
      chunk.segment = reference < SEGMENT ? 0 : Math.floor(reference / SEGMENT);
      chunk.offset = reference - chunk.segment * SEGMENT;
      if (minTime < this.first) this.first = minTime;
      if (maxTime > this.last) this.last = maxTime;
      if (minTime < this.#range.minTime || maxTime >= this.#range.maxTime) this.#outside(position);
      this.#references.refer(chunk, position, this.#describeChunk);
    }
    if (reader.failed) return "it ends before its chunks";
    this.chunks += count;
    return undefined;
  }

  #disordered(position: number, swapped: boolean): void {
    if (swapped)
      this.#find("series-chunks", position, "a series' chunks are not in the order of time");
    else this.#find("series-chunks-overlap", position, "a series' chunks overlap in time");
  }

  #outside(position: number): void {
    const { minTime, maxTime } = this.#range;
    const text = `a chunk reaches out of the block's time range, ${minTime} to ${maxTime}`;
    this.#find("series-range", position, text, this.#describeChunk);
  }

  #find(kind: ProblemKind, position: number, text: string, describe = this.#describeSeries): void {
    const handle = this.#findings.add(kind, "index", position, text);
    if (handle >= 0) this.#findings.concerns(handle, describe());
  }
}
