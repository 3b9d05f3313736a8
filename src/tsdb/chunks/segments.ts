import type { Findings } from "../findings.ts";
import { ENCODING_COUNT, encodingOf } from "./decode.ts";
import { Segment } from "./segment.ts";

/** A segment under the name that it has in the block. */
export interface NamedSegment {
  /** `chunks/NNNNNN` */
  readonly file: string;
  readonly segment: Segment;
}

/** How many chunks of a block have an encoding, and their samples. */
export interface EncodingCount {
  /** The byte on disk. */
  readonly code: number;
  readonly name: string;
  readonly holds: "floats" | "histograms";
  readonly chunks: number;
  readonly samples: number;
}

const LARGEST_NUMBER = 2n ** 64n - 1n;

/**
 * The segments of one block. Prometheus takes every file of `chunks/` for one whose name is a number
 * (in 64 bits), and counts them in the order of the names' bytes, whatever the numbers are.
 */
export class Segments {
  readonly #findings: Findings;
  readonly #decodeSamples: boolean;
  readonly #segments: NamedSegment[] = [];

  constructor(findings: Findings, decodeSamples: boolean) {
    this.#findings = findings;
    this.#decodeSamples = decodeSamples;
  }

  /** Begins a segment, if the path is that of one. */
  open(file: string): Segment | undefined {
    const number = /^chunks\/(\d{1,20})$/.exec(file)?.[1];
    if (number === undefined || BigInt(number) > LARGEST_NUMBER) return undefined;
    const segment = new Segment(file, this.#findings, this.#decodeSamples);
    this.#segments.push({ file, segment });
    return segment;
  }

  /** The segments in the order in which the index counts them. */
  ordered(): readonly NamedSegment[] {
    const ordered = this.#segments.toSorted((a, b) => (a.file < b.file ? -1 : 1));
    const odd = ordered.findIndex(({ file }, i) => file !== nameOf(i));
    if (odd >= 0) {
      const text = `it is where ${nameOf(odd)} should be: Prometheus goes by the order alone`;
      this.#findings.add("segment-name", ordered[odd]?.file ?? "", undefined, text);
    }
    return ordered;
  }

  /** All chunks, damaged ones included. */
  get chunks(): number {
    return this.#segments.reduce((sum, { segment }) => sum + segment.list.starts.length, 0);
  }

  /** Whether {@link encodings} counts every chunk there ever was. */
  get isComplete(): boolean {
    const sound = this.encodings().reduce((sum, { chunks }) => sum + chunks, 0);
    const lost = this.#segments.some(({ segment }) => segment.lostFrom < Number.POSITIVE_INFINITY);
    return !lost && sound === this.chunks;
  }

  /** The encodings of the sound chunks. */
  encodings(): EncodingCount[] {
    const counts: EncodingCount[] = [];
    for (let code = 0; code < ENCODING_COUNT; code++) {
      const encoding = encodingOf(code);
      const sum = (of: "chunks" | "samples") =>
        this.#segments.reduce((total, { segment }) => total + (segment.list[of][code] ?? 0), 0);
      if (encoding === undefined || sum("chunks") === 0) continue;
      const { name, holds } = encoding;
      counts.push({ code, name, holds, chunks: sum("chunks"), samples: sum("samples") });
    }
    return counts;
  }
}

/** The name of the segment of this index, from 0. */
function nameOf(index: number): string {
  return `chunks/${String(index + 1).padStart(6, "0")}`;
}
