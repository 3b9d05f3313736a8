import { ByteReader, viewOf } from "../bytes.ts";
import type { ChunkReferences } from "../chunks/references.ts";
import { crc32c, crcText } from "../crc32c.ts";
import type { Findings } from "../findings.ts";
import { NumberList } from "../number-list.ts";
import { STOP, scan } from "../scan.ts";
import type { Spool } from "../spool.ts";
import { LabelPairs } from "./label-pairs.ts";
import { checkGap, SERIES_ALIGNMENT, type Section } from "./section.ts";
import { SeriesEntry, type TimeRange, type TimeSpan } from "./series-entry.ts";
import type { Symbols } from "./symbols.ts";

const CRC_SIZE = 4;
const LONGEST_LENGTH = 5;

/** What the other sections of an index are compared with. */
export interface Series {
  /** The ids of all series, ascending. */
  readonly ids: NumberList;
  /** The label pairs of all series. */
  readonly pairs: LabelPairs;
  /** How many chunks the series have in all. */
  readonly chunks: number;
  /** The range of time of their samples. */
  readonly span: TimeSpan;
  /** False if some series could not be read: nothing can be compared with the others then. */
  readonly complete: boolean;
}

/**
 * Checks the series section of an index (prometheus `tsdb/index/index.go`): entries of
 *
 *     length uvarint · the series, see {@link SeriesEntry} · CRC-32C of that
 *
 * each at a multiple of 16, with zeros between, strictly ascending by their labels.
 *
 * @param symbols undefined if they are damaged; the series are then checked as far as can be.
 * @param range undefined if meta.json does not tell it.
 */
export async function checkSeries(
  spool: Spool,
  section: Section,
  symbols: Symbols | undefined,
  range: TimeRange | undefined,
  references: ChunkReferences,
  findings: Findings,
): Promise<Series> {
  const pairs = new LabelPairs();
  const entry = new SeriesEntry(symbols, range, pairs, references, findings);
  const walk = new SeriesWalk(entry, findings);
  await scan(spool, section.start, section.end, (bytes, position, last) =>
    walk.step(bytes, position, last),
  );
  return {
    ids: walk.ids,
    pairs,
    chunks: entry.chunks,
    span: { first: entry.first, last: entry.last },
    complete: walk.complete,
  };
}

class SeriesWalk {
  readonly ids = new NumberList();
  complete = true;
  readonly #entry: SeriesEntry;
  readonly #findings: Findings;
  readonly #reader = new ByteReader();
  /** Whether the entry before had a wrong checksum: its length may be what is damaged. */
  #wrong = false;

  constructor(entry: SeriesEntry, findings: Findings) {
    this.#entry = entry;
    this.#findings = findings;
  }

  /** Takes the whole entries from `bytes`: a step of {@link scan}. */
  step(bytes: Uint8Array, position: number, last: boolean): number {
    const reader = this.#reader;
    const view = viewOf(bytes);
    // Where multiples of 16 lie: a remainder of the position itself takes long, as it may be beyond 2^31.
    const skew = (-position % SERIES_ALIGNMENT) | 0;
    for (let at = 0; ; ) {
      const start = at + ((skew - at) & (SERIES_ALIGNMENT - 1));
      if (last && start >= bytes.length) {
        checkGap(bytes, at, bytes.length, position + at, SERIES_ALIGNMENT - 1, this.#findings);
        return bytes.length;
      }
      reader.reset(bytes, start, Math.min(start + LONGEST_LENGTH, bytes.length));
      const length = reader.uint31();
      const bodyAt = reader.at;
      const crcAt = bodyAt + length;
      if (reader.failed || crcAt + CRC_SIZE > bytes.length) {
        return last ? this.#lose(position + start, "it runs past the end of the series") : at;
      }
      checkGap(bytes, at, start, position + at, SERIES_ALIGNMENT - 1, this.#findings);
      const crc = crc32c(view, bodyAt, crcAt);
      const stored = view.getInt32(crcAt);
      if (crc === stored) {
        this.#wrong = false;
        this.ids.push((position + start) / SERIES_ALIGNMENT);
        if (!this.#entry.read(bytes, bodyAt, crcAt, position + start)) this.complete = false;
      } else {
        if (this.#wrong) {
          return this.#lose(
            position + start,
            "its checksum is wrong, as is that of the one before",
          );
        }
        this.#checksumWrong(position + start, crc, stored);
      }
      at = crcAt + CRC_SIZE;
    }
  }

  #checksumWrong(position: number, crc: number, stored: number): void {
    this.#wrong = true;
    this.complete = false;
    this.ids.push(position / SERIES_ALIGNMENT);
    const text = `the checksum of a series is ${crcText(crc)}, not the stored ${crcText(stored)}`;
    this.#findings.add("series-checksum", "index", position, text);
  }

  #lose(position: number, reason: string): number {
    this.complete = false;
    const text = `the entry of a series is damaged, ${reason}: what follows can't be checked`;
    this.#findings.add("series-damaged", "index", position, text);
    return STOP;
  }
}
