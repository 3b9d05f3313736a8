import { ByteReader, viewOf } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import { NumberList } from "../number-list.ts";
import { STOP, scan } from "../scan.ts";
import type { Spool } from "../spool.ts";
import { openSection, type Section } from "./section.ts";
import type { Series } from "./series.ts";
import type { Symbols } from "./symbols.ts";

const COUNT_SIZE = 4;
/** The first byte of each entry: how many strings its key has. */
const STRINGS = 2;

/** In place of a label pair: the list of all series, and one of a pair that no series has. */
export const ALL_SERIES = -1;
export const NO_SERIES = -2;

/** The postings lists of an index as its table has them, in the order in which they lie. */
export interface PostingsTable {
  /** Where each list begins in the file. */
  readonly offsets: NumberList;
  /** Each list's place in the {@link LabelPairs}, or one of the two constants. */
  readonly places: NumberList;
}

/**
 * Reads the table of postings lists (prometheus `tsdb/index/index.go`): in a section of its own
 *
 *     count, 32 bits · count × { 02 · length uvarint, name · length uvarint, value · offset uvarint }
 *
 * strictly ascending by name and value. The first is that of all series, under two empty strings. A
 * pair of any series must be in it, and no other.
 *
 * @returns undefined, with a finding, if Prometheus would not open the index.
 */
export async function readPostingsTable(
  spool: Spool,
  section: Section,
  lists: Section,
  symbols: Symbols,
  series: Series,
  findings: Findings,
): Promise<PostingsTable | undefined> {
  const content = await openSection(spool, section, findings);
  if (typeof content === "string" || content.end - content.start < COUNT_SIZE) {
    const reason = typeof content === "string" ? content : "it is cut off";
    const text = `the postings offset table, by which label pairs are found, is damaged: ${reason}`;
    findings.add("postings-table", "index", section.start, text);
    return undefined;
  }
  const start = content.start + COUNT_SIZE;
  const count = viewOf(spool.read(content.start, start)).getUint32(0);
  const walk = new TableWalk(count, lists, symbols, series, findings);
  await scan(spool, start, content.end, (bytes, position, last) =>
    walk.step(bytes, position, last),
  );
  return walk.end(section.start) ? walk : undefined;
}

class TableWalk implements PostingsTable {
  readonly offsets = new NumberList();
  readonly places = new NumberList();
  readonly #count: number;
  readonly #lists: Section;
  readonly #symbols: Symbols;
  readonly #series: Series;
  readonly #findings: Findings;
  readonly #reader = new ByteReader();
  #broken = false;
  #entries = 0;
  #found = 0;
  /** The symbols of the entry before: -1 before the first one of a label pair. */
  #name = -1;
  #value = -1;
  #offset = -1;

  constructor(count: number, lists: Section, symbols: Symbols, series: Series, findings: Findings) {
    this.#count = count;
    this.#lists = lists;
    this.#symbols = symbols;
    this.#series = series;
    this.#findings = findings;
  }

  /** Takes the whole entries from `bytes`: a step of {@link scan}. */
  step(bytes: Uint8Array, position: number, last: boolean): number {
    const reader = this.#reader;
    reader.reset(bytes, 0, bytes.length);
    for (let at = 0; ; at = reader.at) {
      if (at === bytes.length) return at;
      const strings = reader.byte();
      const nameLength = reader.uvarint();
      const nameAt = reader.at;
      reader.skip(nameLength);
      const valueLength = reader.uvarint();
      const valueAt = reader.at;
      reader.skip(valueLength);
      const offset = reader.uvarint();
      if (reader.failed && !last) return at;
      if (reader.failed || strings !== STRINGS) return this.#fail(position + at);
      this.#entries++;
      const place = this.#placeOf(bytes, nameAt, nameLength, valueAt, valueLength, position + at);
      this.#addList(offset, place, position + at);
    }
  }

  /** Says that there are no more entries. Answers whether the table can be relied on. */
  end(position: number): boolean {
    if (this.#broken) return false;
    if (this.#entries !== this.#count) {
      const text = `it announces ${this.#count} entries and has ${this.#entries}`;
      this.#report("postings-table", position, text);
      return false;
    }
    const missing = this.#series.pairs.size - this.#found;
    if (this.#series.complete && missing > 0) {
      const text = `${missing} label pairs of the series are not in it`;
      this.#report("postings-table-content", position, text);
    }
    return true;
  }

  #fail(position: number): number {
    this.#broken = true;
    this.#report("postings-table", position, "an entry can't be read");
    return STOP;
  }

  /** Looks the label pair up, and compares it with the one before. */
  #placeOf(
    bytes: Uint8Array,
    nameAt: number,
    nameLength: number,
    valueAt: number,
    valueLength: number,
    position: number,
  ): number {
    if (this.#entries === 1) {
      if (nameLength + valueLength === 0) return ALL_SERIES;
      this.#report("postings-table-content", position, "the list of all series is not its first");
    }
    if (!this.#series.complete) return NO_SERIES;
    const symbols = this.#symbols;
    const sameName =
      this.#name >= 0 && symbols.compare(this.#name, bytes, nameAt, nameAt + nameLength) === 0;
    const name = sameName ? this.#name : symbols.find(bytes, nameAt, nameAt + nameLength, 0);
    const near = sameName ? this.#value : 0;
    const value = symbols.find(bytes, valueAt, valueAt + valueLength, near);
    if (name < 0) this.#report("postings-table", position, "a label name is no symbol");
    const place = name < 0 || value < 0 ? -1 : this.#series.pairs.find(name, value);
    if (place < 0) {
      this.#report("postings-table-content", position, "no series has one of its label pairs");
      return NO_SERIES;
    }
    if (name < this.#name || (sameName && value <= this.#value)) {
      this.#report("postings-table-content", position, "its label pairs are not in order");
    } else {
      this.#found++;
    }
    this.#name = name;
    this.#value = value;
    return place;
  }

  /** Takes a list over if it lies behind the one before; every writer puts them in this order. */
  #addList(offset: number, place: number, position: number): void {
    const { start, end } = this.#lists;
    if (offset % 4 !== 0 || offset < start || offset >= end || offset <= this.#offset) {
      const text = `a list is said to be at ${offset}, not in order or outside of the lists`;
      this.#report("postings-table-content", position, text);
      return;
    }
    this.#offset = offset;
    this.offsets.push(offset);
    this.places.push(place);
  }

  #report(kind: "postings-table" | "postings-table-content", position: number, text: string): void {
    this.#findings.add(kind, "index", position, `the postings offset table: ${text}`);
  }
}
