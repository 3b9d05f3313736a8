import { setImmediate } from "node:timers/promises";
import { viewOf } from "../bytes.ts";
import { crc32c } from "../crc32c.ts";
import type { Findings } from "../findings.ts";
import { WINDOW } from "../scan.ts";
import type { Spool } from "../spool.ts";
import { fingerprint } from "./label-pairs.ts";
import { ALL_SERIES, NO_SERIES, type PostingsTable } from "./postings-table.ts";
import { checkGap, type Section } from "./section.ts";
import type { Series } from "./series.ts";
import { seriesText } from "./series-text.ts";
import type { Symbols } from "./symbols.ts";

const LENGTH_SIZE = 4;
const COUNT_SIZE = 4;
const ID_SIZE = 4;
const CRC_SIZE = 4;
/** Lists begin at multiples of 4. */
const PADDING = 3;

/**
 * Checks the postings lists of an index (prometheus `tsdb/index/index.go`): each
 *
 *     length, 32 bits · count, 32 bits · count × id of a series, 32 bits, ascending · CRC-32C
 *
 * at a multiple of 4, where length and checksum are those of count and ids. The first has all
 * series, each further one those of a label pair: compared by count and fingerprint of the ids.
 */
export async function checkPostings(
  spool: Spool,
  section: Section,
  table: PostingsTable,
  series: Series,
  symbols: Symbols,
  findings: Findings,
): Promise<void> {
  const check = new PostingsCheck(spool, series, symbols, findings);
  const lists = table.offsets.length;
  let pause = section.start + WINDOW;
  check.gap(section.start, lists > 0 ? table.offsets.at(0) : section.end);
  for (let list = 0; list < lists; list++) {
    const end = list + 1 < lists ? table.offsets.at(list + 1) : section.end;
    check.list(table.offsets.at(list), end, table.places.at(list));
    if (end > pause) {
      pause = end + WINDOW;
      await setImmediate();
    }
  }
}

class PostingsCheck {
  readonly #spool: Spool;
  readonly #series: Series;
  readonly #symbols: Symbols;
  readonly #findings: Findings;
  /** Of the list read last. */
  #ascends = true;
  #fingerprint = 0;
  #isAll = true;

  constructor(spool: Spool, series: Series, symbols: Symbols, findings: Findings) {
    this.#spool = spool;
    this.#series = series;
    this.#symbols = symbols;
    this.#findings = findings;
  }

  /** Checks the list at `start`, and that nothing but padding is between it and `end`. */
  list(start: number, end: number, place: number): void {
    const countAt = start + LENGTH_SIZE;
    const room = end - countAt - CRC_SIZE;
    const head =
      room < COUNT_SIZE ? undefined : viewOf(this.#spool.read(start, countAt + COUNT_SIZE));
    const length = head?.getUint32(0) ?? 0;
    const count = head?.getUint32(LENGTH_SIZE) ?? 0;
    if (length !== COUNT_SIZE + ID_SIZE * count || length > room) {
      this.#damaged(start, place, "its length is wrong");
      return;
    }
    const crcAt = countAt + length;
    const crc = this.#readIds(countAt, crcAt);
    if (crc !== viewOf(this.#spool.read(crcAt, crcAt + CRC_SIZE)).getInt32(0)) {
      this.#damaged(start, place, "its checksum is wrong");
      return;
    }
    this.gap(crcAt + CRC_SIZE, end);
    this.#compare(start, place, count);
  }

  gap(start: number, end: number): void {
    const bytes = this.#spool.read(start, Math.min(end, start + WINDOW));
    checkGap(bytes, 0, bytes.length, start, PADDING, this.#findings);
  }

  /** Goes through the ids in `[start, end)`, which begins with their count; gives the checksum. */
  #readIds(start: number, end: number): number {
    const all = this.#series.ids;
    let crc = 0;
    let before = -1;
    let ascends = true;
    let sum = 0;
    let index = 0;
    let isAll = (end - start) / ID_SIZE === all.length + 1;
    for (let from = start; from < end; from += WINDOW) {
      const view = viewOf(this.#spool.read(from, Math.min(from + WINDOW, end)));
      const size = view.byteLength;
      crc = crc32c(view, 0, size, crc);
      for (let at = from === start ? COUNT_SIZE : 0; at < size; at += ID_SIZE) {
        const id = view.getUint32(at);
        ascends &&= id > before;
        before = id;
        sum = (sum + fingerprint(id)) | 0;
        if (isAll) isAll = all.at(index++) === id;
      }
    }
    this.#ascends = ascends;
    this.#fingerprint = sum;
    this.#isAll = isAll;
    return crc;
  }

  /** Compares the list just read with the series. */
  #compare(start: number, place: number, count: number): void {
    if (!this.#ascends) this.#wrong(start, place, "its series do not ascend");
    if (!this.#series.complete) return;
    if (place === ALL_SERIES) {
      if (!this.#isAll) this.#wrong(start, place, "it has other series than the index");
      return;
    }
    if (place === NO_SERIES) return;
    const { pairs } = this.#series;
    if (pairs.count(place) !== count) {
      this.#wrong(start, place, `it has ${count} series, and ${pairs.count(place)} have the label`);
    } else if (pairs.fingerprint(place) !== this.#fingerprint) {
      this.#wrong(start, place, "it has other series than those that have the label");
    }
  }

  #damaged(start: number, place: number, reason: string): void {
    const kind = place === ALL_SERIES ? "postings-all" : "postings-damaged";
    const text = `the list of ${this.#nameOf(place)} is damaged: ${reason}`;
    this.#findings.add(kind, "index", start, text);
  }

  #wrong(start: number, place: number, reason: string): void {
    const kind = place === ALL_SERIES ? "postings-all" : "postings-content";
    const text = `the list of ${this.#nameOf(place)} is wrong: ${reason}`;
    this.#findings.add(kind, "index", start, text);
  }

  #nameOf(place: number): string {
    if (place === ALL_SERIES) return "all series";
    if (place === NO_SERIES) return "the series of a label";
    const { pairs } = this.#series;
    return `the series ${seriesText([pairs.name(place), pairs.value(place)], this.#symbols)}`;
  }
}
