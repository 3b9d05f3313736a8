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
  /** Of the list at hand, as far as it was read. */
  #crc = 0;
  #ids = 0;
  #lastId = -1;
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
    let view = this.#window(start, end);
    const room = end - start - LENGTH_SIZE - CRC_SIZE;
    const length = room < COUNT_SIZE ? 0 : view.getUint32(0);
    if (length < COUNT_SIZE || length > room) {
      this.#damaged(start, place, "its length is wrong");
      return;
    }
    const count = view.getUint32(LENGTH_SIZE);
    const crcAt = start + LENGTH_SIZE + length;
    this.#begin();
    // Nearly every list lies in one window; one of a million series goes on in the next.
    let at = LENGTH_SIZE;
    for (let position = start + at; ; ) {
      const size = Math.min(view.byteLength - at, crcAt - position);
      this.#take(view, at, at + size, position === start + at ? COUNT_SIZE : 0);
      at += size;
      position += size;
      if (at + CRC_SIZE <= view.byteLength) break;
      view = this.#window(position, end);
      at = 0;
    }
    if (this.#crc !== view.getInt32(at)) {
      this.#damaged(start, place, "its checksum is wrong");
      return;
    }
    this.gap(crcAt + CRC_SIZE, end);
    if (length === COUNT_SIZE + ID_SIZE * count) this.#compare(start, place, count);
    else this.#wrong(start, place, `its length is not that of ${count} series`);
  }

  gap(start: number, end: number): void {
    if (start === end) return;
    const bytes = this.#spool.read(start, Math.min(end, start + WINDOW));
    checkGap(bytes, 0, bytes.length, start, PADDING, this.#findings);
  }

  #window(start: number, end: number): DataView {
    return viewOf(this.#spool.read(start, Math.min(end, start + WINDOW)));
  }

  #begin(): void {
    this.#crc = 0;
    this.#ids = 0;
    this.#lastId = -1;
    this.#ascends = true;
    this.#fingerprint = 0;
    this.#isAll = true;
  }

  /** Takes `[start, end)` of a list, in which ids begin after so many bytes. */
  #take(view: DataView, start: number, end: number, idsAfter: number): void {
    this.#crc = crc32c(view, start, end, this.#crc);
    const all = this.#series.ids;
    let last = this.#lastId;
    let ascends = this.#ascends;
    let sum = this.#fingerprint;
    let isAll = this.#isAll;
    let index = this.#ids;
    for (let at = start + idsAfter; at + ID_SIZE <= end; at += ID_SIZE) {
      const id = view.getUint32(at);
      ascends &&= id > last;
      last = id;
      sum = (sum + fingerprint(id)) | 0;
      if (isAll) isAll = all.at(index++) === id;
    }
    this.#lastId = last;
    this.#ascends = ascends;
    this.#fingerprint = sum;
    this.#isAll = isAll;
    this.#ids = index;
  }

  /** Compares the list just read with the series. */
  #compare(start: number, place: number, count: number): void {
    if (!this.#ascends) this.#wrong(start, place, "its series do not ascend");
    if (!this.#series.complete) return;
    if (place === ALL_SERIES) {
      if (!this.#isAll || count !== this.#series.ids.length)
        this.#wrong(start, place, "it has other series than the index");
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
