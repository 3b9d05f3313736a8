/** Holds the beginning of an item, in which a piece of a file ended, until the rest comes. */
export class Carry {
  size = 0;
  #bytes = new Uint8Array(4096);

  /** What was added; good until the next is. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    const needed = this.size + end - start;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.size));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.size);
    this.size = needed;
  }
}
