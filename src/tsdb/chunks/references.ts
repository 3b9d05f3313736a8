import type { Findings } from "../findings.ts";
import type { Segment } from "./segment.ts";
import type { NamedSegment } from "./segments.ts";

/** A chunk as the index describes it. */
export interface ChunkEntry {
  /** The segment's place in the order of the names, from 0; its number is not looked at. */
  segment: number;
  /** Where its record begins in the segment. */
  offset: number;
  /** Times of its first and last samples, in milliseconds. */
  minTime: number;
  maxTime: number;
}

/**
 * Compares the chunks that the index refers to with those that the segments hold: each reference
 * must be the beginning of a record, and no record may be without one or have two. The references
 * of an index ascend, so that this is a merge of two lists; a reference out of line is looked up.
 */
export class ChunkReferences {
  readonly #segments: readonly NamedSegment[];
  readonly #findings: Findings;
  /** A bit for each record of each segment. */
  readonly #seen: readonly Uint8Array[];
  #referred = 0;
  #unchecked = 0;
  /** The next reference if all is in order: a segment, and a record in it. */
  #segment = 0;
  #record = 0;

  /** @param segments in the order in which Prometheus counts them: that of the names' bytes. */
  constructor(segments: readonly NamedSegment[], findings: Findings) {
    this.#segments = segments;
    this.#findings = findings;
    this.#seen = segments.map(
      ({ segment }) => new Uint8Array((segment.list.starts.length + 7) >>> 3),
    );
  }

  /**
   * Takes the next reference of the index.
   *
   * @param at where in the index it is.
   * @param describe names the samples, for a message.
   */
  refer(chunk: ChunkEntry, at: number, describe: () => string): void {
    const named = this.#segments[chunk.segment];
    if (named === undefined) {
      const have = `there are ${this.#segments.length}`;
      this.#dangling(at, `the index refers to segment ${chunk.segment + 1}, but ${have}`, describe);
      return;
    }
    const { segment, file } = named;
    if (chunk.segment > this.#segment) this.#goTo(chunk.segment, 0);
    let record = this.#record;
    if (chunk.segment !== this.#segment || segment.list.starts.at(record) !== chunk.offset) {
      record = segment.list.starts.indexOfSorted(chunk.offset);
      if (record < 0) {
        this.#noRecord(named, chunk.offset, at, describe);
        return;
      }
      if (chunk.segment < this.#segment || record < this.#record) {
        const text = `the chunk at ${chunk.offset} comes later in the index than chunks behind it`;
        this.#findings.add("chunk-disordered", file, chunk.offset, text);
      }
    }
    this.#goTo(chunk.segment, record + 1);
    this.#mark(named, chunk, record, describe);
    if (segment.list.times !== undefined) this.#compareTimes(named, chunk, record, describe);
    if (segment.list.damaged.size > 0) this.#nameDamage(segment, chunk.offset, describe);
  }

  /**
   * Says that the index has no more references.
   *
   * @param complete whether all of them could be read.
   */
  end(complete: boolean): void {
    if (this.#unchecked > 0) {
      const text = `${this.#unchecked} chunks of the index lie where the segments can't be read`;
      this.#findings.add("chunk-unchecked", "chunks", undefined, text);
    }
    const records = this.#segments.reduce(
      (sum, { segment }) => sum + segment.list.starts.length,
      0,
    );
    if (complete && this.#referred < records) {
      const text = `the index refers to ${this.#referred} of the ${records} chunks of the segments`;
      this.#findings.add("chunk-unreferenced", "chunks", undefined, text);
    }
  }

  #nameDamage(segment: Segment, offset: number, describe: () => string): void {
    const handle = segment.list.damaged.get(offset);
    if (handle !== undefined) this.#findings.concerns(handle, describe());
  }

  #goTo(segment: number, record: number): void {
    this.#segment = segment;
    this.#record = record;
  }

  #noRecord(named: NamedSegment, offset: number, at: number, describe: () => string): void {
    if (offset >= named.segment.lostFrom) {
      this.#unchecked++;
      return;
    }
    const text = `the index refers to a chunk at ${offset} of ${named.file}, where none begins`;
    this.#dangling(at, text, describe);
  }

  #dangling(at: number, text: string, describe: () => string): void {
    const handle = this.#findings.add("chunk-dangling", "index", at, text);
    if (handle >= 0) this.#findings.concerns(handle, describe());
  }

  #mark(named: NamedSegment, chunk: ChunkEntry, record: number, describe: () => string): void {
    const seen = this.#seen[chunk.segment];
    if (seen === undefined) return;
    const bits = seen[record >>> 3] ?? 0;
    const bit = 1 << (record & 7);
    if ((bits & bit) === 0) this.#referred++;
    else this.#shared(named, chunk, describe);
    seen[record >>> 3] = bits | bit;
  }

  #shared(named: NamedSegment, chunk: ChunkEntry, describe: () => string): void {
    const text = `the index refers to the chunk at ${chunk.offset} more than once`;
    const handle = this.#findings.add("chunk-shared", named.file, chunk.offset, text);
    if (handle >= 0) this.#findings.concerns(handle, describe());
  }

  /** Every writer gives a chunk's exact times; a wider range in the index hides nothing. */
  #compareTimes(
    named: NamedSegment,
    chunk: ChunkEntry,
    record: number,
    describe: () => string,
  ): void {
    const first = named.segment.list.times?.at(2 * record) ?? Number.NaN;
    const last = named.segment.list.times?.at(2 * record + 1) ?? Number.NaN;
    if (Number.isNaN(first) || (first === chunk.minTime && last === chunk.maxTime)) return;
    const hides = first < chunk.minTime || last > chunk.maxTime;
    const kind = hides ? "chunk-times" : "chunk-times-narrow";
    const text = `the chunk's samples are from ${first} to ${last}, not from ${chunk.minTime} to ${chunk.maxTime} as the index says`;
    const handle = this.#findings.add(kind, named.file, chunk.offset, text);
    if (handle >= 0) this.#findings.concerns(handle, describe());
  }
}
