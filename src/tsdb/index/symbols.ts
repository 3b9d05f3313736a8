import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { ByteReader, viewOf } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import type { Spool } from "../spool.ts";
import { openSection, type Section } from "./section.ts";

/** How many symbols are checked before other work of the process gets its turn. */
const AT_A_TIME = 64 * 1024;

const COUNT_SIZE = 4;

/**
 * The strings of an index, its label names and values. They ascend bytewise, so that the order of
 * their numbers, from 0, is the order of the strings.
 */
export class Symbols {
  readonly count: number;
  readonly #bytes: Uint8Array;
  /** Two a symbol: where it begins and ends in the bytes. */
  readonly #bounds: Uint32Array;

  constructor(bytes: Uint8Array, bounds: Uint32Array) {
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.count = bounds.length / 2;
  }

  /** The symbol as text; a number that is none gives an empty one. */
  text(symbol: number): string {
    const bytes = this.#bytes.subarray(this.#bounds[2 * symbol], this.#bounds[2 * symbol + 1]);
    return new TextDecoder().decode(bytes);
  }

  /**
   * Compares a symbol with the string `other[start, end)`.
   *
   * @returns negative, 0 or positive: it is before, the same, or behind.
   */
  compare(symbol: number, other: Uint8Array, start: number, end: number): number {
    const bytes = this.#bytes;
    const from = this.#bounds[2 * symbol] ?? 0;
    const length = (this.#bounds[2 * symbol + 1] ?? 0) - from;
    const shorter = Math.min(length, end - start);
    for (let i = 0; i < shorter; i++) {
      const difference = (bytes[from + i] ?? 0) - (other[start + i] ?? 0);
      if (difference !== 0) return difference;
    }
    return length - (end - start);
  }

  /**
   * The number of the string `other[start, end)`, or -1. Fast if it is little behind `near`: tables
   * of labels go through the symbols in order.
   */
  find(other: Uint8Array, start: number, end: number, near: number): number {
    let low = 0;
    let high = this.count;
    for (let step = 1, at = near; at < this.count; step *= 2, at += step) {
      const order = this.compare(at, other, start, end);
      if (order === 0) return at;
      if (order > 0) {
        high = at;
        break;
      }
      low = at + 1;
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.compare(middle, other, start, end);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }
}

/**
 * Reads the symbol table of an index: in a section of its own
 *
 *     count, 32 bits · count × { length uvarint · the bytes }
 *
 * strictly ascending. A name that isn't UTF-8 is no harm to Prometheus, but to those who ask.
 *
 * @returns undefined, with a finding, if Prometheus would not open the index.
 */
export async function readSymbols(
  spool: Spool,
  section: Section,
  findings: Findings,
): Promise<Symbols | undefined> {
  const content = await openSection(spool, section, findings);
  if (typeof content === "string") {
    const text = `the symbol table, the strings of all labels, is damaged: ${content}`;
    findings.add("symbols-damaged", "index", section.start, text);
    return undefined;
  }
  const bytes = spool.hold(content.start, content.end);
  const bounds = symbolBounds(bytes);
  if (bounds === undefined) {
    const text = "the symbol table's count does not fit its content";
    findings.add("symbols-damaged", "index", content.start, text);
    return undefined;
  }
  const symbols = new Symbols(bytes, bounds);
  for (let start = 0; start < symbols.count; start += AT_A_TIME) {
    const end = Math.min(start + AT_A_TIME, symbols.count);
    checkSymbols(symbols, bytes, bounds, start, end, content.start, findings);
    await setImmediate();
  }
  return symbols;
}

/** Where each symbol begins and ends, or undefined if the table isn't one. */
function symbolBounds(bytes: Uint8Array): Uint32Array | undefined {
  const count = bytes.length < COUNT_SIZE ? Number.NaN : viewOf(bytes).getUint32(0);
  // Each symbol takes a byte at least, so the count can't ask for more memory than the file is worth.
  if (!(count <= bytes.length)) return undefined;
  const bounds = new Uint32Array(2 * count);
  const reader = new ByteReader();
  reader.reset(bytes, COUNT_SIZE, bytes.length);
  for (let symbol = 0; symbol < count && !reader.failed; symbol++) {
    const length = reader.uvarint();
    bounds[2 * symbol] = reader.at;
    reader.skip(length);
    bounds[2 * symbol + 1] = reader.at;
  }
  return reader.failed || reader.left > 0 ? undefined : bounds;
}

function checkSymbols(
  symbols: Symbols,
  bytes: Uint8Array,
  bounds: Uint32Array,
  start: number,
  end: number,
  position: number,
  findings: Findings,
): void {
  for (let symbol = start; symbol < end; symbol++) {
    const from = bounds[2 * symbol] ?? 0;
    const to = bounds[2 * symbol + 1] ?? 0;
    if (symbol > 0 && symbols.compare(symbol - 1, bytes, from, to) >= 0) {
      const text = `the symbol ${JSON.stringify(symbols.text(symbol))} is not behind the one before`;
      findings.add("symbols-order", "index", position + from, text);
    }
    let at = from;
    while (at < to && (bytes[at] ?? 0) < 0x80) at++;
    if (at < to && !isUtf8(bytes.subarray(from, to))) {
      const text = `the symbol ${JSON.stringify(symbols.text(symbol))} is not UTF-8`;
      findings.add("symbols-utf8", "index", position + from, text);
    }
  }
}
