const FIRST_CAPACITY = 256;

/**
 * A list of numbers that grows by half, 8 bytes an item: what a check remembers of the chunks and
 * series of a block is in these, as plain arrays of millions of numbers cost more.
 */
export class NumberList {
  length = 0;
  #items = new Float64Array(FIRST_CAPACITY);

  push(value: number): void {
    if (this.length === this.#items.length) {
      const larger = new Float64Array(this.length + (this.length >>> 1));
      larger.set(this.#items);
      this.#items = larger;
    }
    this.#items[this.length++] = value;
  }

  /** The item, or NaN where there is none. */
  at(index: number): number {
    return index < this.length ? (this.#items[index] ?? Number.NaN) : Number.NaN;
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
}
