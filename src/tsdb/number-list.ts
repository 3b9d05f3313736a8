/** Items of a page, a power of two: 8 KiB. */
const PAGE_BITS = 10;
const PAGE = 2 ** PAGE_BITS;

/**
 * A list of numbers, 8 bytes an item: what a check remembers of the chunks and series of a block is in
 * these, as plain arrays of millions of numbers cost more. It grows by pages, which takes neither a
 * copy nor three times the memory, each page of which the system has to find.
 */
export class NumberList {
  length = 0;
  readonly #pages: Float64Array[] = [];

  push(value: number): void {
    const index = this.length++;
    const page = this.#pages[index >>> PAGE_BITS] ?? this.#grow();
    page[index & (PAGE - 1)] = value;
  }

  /** The item, or NaN where there is none. */
  at(index: number): number {
    if (index >= this.length) return Number.NaN;
    return this.#pages[index >>> PAGE_BITS]?.[index & (PAGE - 1)] ?? Number.NaN;
  }

  /** The index of `value` in a list whose items ascend, or -1. */
  indexOfSorted(value: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) < value) low = middle + 1;
      else high = middle;
    }
    return this.at(low) === value ? low : -1;
  }

  #grow(): Float64Array {
    const page = new Float64Array(PAGE);
    this.#pages.push(page);
    return page;
  }
}
