import type { Findings } from "../findings.ts";
import { NumberList } from "../number-list.ts";
import type { ProblemKind } from "../problems.ts";
import { decodeChunk, ENCODING_COUNT, encodingOf } from "./decode.ts";
import type { ChunkTimes } from "./decoder.ts";

/** What is remembered of the chunks of a segment, to be compared with the index. */
export class ChunkList {
  /** Where each record begins, in bytes of the file: what the index refers to. */
  readonly starts = new NumberList();
  /** First and last timestamp of each record in turn, NaN if unknown; only if samples are decoded. */
  readonly times: NumberList | undefined;
  /** By encoding: how many chunks have the right checksum, and the samples that they announce. */
  readonly chunks = new Float64Array(ENCODING_COUNT);
  readonly samples = new Float64Array(ENCODING_COUNT);
  /** The handles of the kept findings about single chunks, by where the record begins. */
  readonly damaged = new Map<number, number>();

  readonly #file: string;
  readonly #findings: Findings;
  readonly #span: ChunkTimes = { first: 0, last: 0 };

  constructor(file: string, findings: Findings, decodeSamples: boolean) {
    this.#file = file;
    this.#findings = findings;
    this.times = decodeSamples ? new NumberList() : undefined;
  }

  /**
   * Checks and adds the chunk of a record whose checksum is right.
   *
   * @param position of the record in the file.
   * @param at where its encoding is in the view, which its data follows.
   * @param end of its data, which the checksum follows.
   */
  add(view: DataView, position: number, at: number, end: number): void {
    const span = this.#span;
    span.first = span.last = Number.NaN;
    const code = view.getUint8(at);
    const dataAt = at + 1;
    const encoding = encodingOf(code);
    if (encoding === undefined) {
      this.#damage("chunk-encoding", position, `the chunk's encoding ${code} is unknown`);
    } else {
      // Of data of less than two bytes, this reads the checksum.
      const count = view.getUint16(dataAt) & encoding.countMask;
      this.chunks[code] = (this.chunks[code] ?? 0) + 1;
      this.samples[code] = (this.samples[code] ?? 0) + count;
      if (end - dataAt < 2 || count === 0) {
        this.#damage("chunk-contradictory", position, "the chunk has no samples");
      } else if (this.times !== undefined) {
        const fault = decodeChunk(encoding, view, dataAt, end, count, span);
        if (fault !== undefined) {
          const text = `the ${encoding.name} chunk is not sound: ${fault.text}`;
          this.#damage(`chunk-${fault.kind}`, position, text);
          span.first = span.last = Number.NaN;
        }
      }
    }
    this.#push(position, span.first, span.last);
  }

  /** Adds a record whose content can't be relied on. */
  addDamaged(position: number, message: string): void {
    this.#damage("chunk-checksum", position, message);
    this.#push(position, Number.NaN, Number.NaN);
  }

  #push(position: number, first: number, last: number): void {
    this.starts.push(position);
    this.times?.push(first);
    this.times?.push(last);
  }

  #damage(kind: ProblemKind, position: number, message: string): void {
    const handle = this.#findings.add(kind, this.#file, position, message);
    if (handle >= 0) this.damaged.set(position, handle);
  }
}
