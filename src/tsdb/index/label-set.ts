const FIRST_CAPACITY = 32;

/**
 * The labels of a series as numbers of symbols, in their order. Typed arrays that stay: plain ones,
 * emptied and filled again for each series, take longer than all else that is done with it.
 */
export class LabelSet {
  /** Pairs. */
  size = 0;
  #names = new Int32Array(FIRST_CAPACITY);
  #values = new Int32Array(FIRST_CAPACITY);
  #places = new Int32Array(FIRST_CAPACITY);

  clear(): void {
    this.size = 0;
  }

  /** @param place of the pair in the {@link LabelPairs} */
  push(name: number, value: number, place: number): void {
    const at = this.size++;
    if (at === this.#names.length) this.#grow();
    this.#names[at] = name;
    this.#values[at] = value;
    this.#places[at] = place;
  }

  name(index: number): number {
    return this.#names[index] ?? 0;
  }

  value(index: number): number {
    return this.#values[index] ?? 0;
  }

  place(index: number): number {
    return this.#places[index] ?? 0;
  }

  has(index: number, name: number, value: number): boolean {
    return index < this.size && this.#names[index] === name && this.#values[index] === value;
  }

  /** Whether it comes behind another: by the first label that differs, else the longer. */
  isBehind(other: LabelSet): boolean {
    const shorter = Math.min(this.size, other.size);
    for (let i = 0; i < shorter; i++) {
      const difference = this.name(i) - other.name(i) || this.value(i) - other.value(i);
      if (difference !== 0) return difference > 0;
    }
    return this.size > other.size;
  }

  /** Names and values in turn. */
  numbers(): number[] {
    return Array.from({ length: 2 * this.size }, (_, i) =>
      i % 2 === 0 ? this.name(i >> 1) : this.value(i >> 1),
    );
  }

  #grow(): void {
    const larger = (old: Int32Array<ArrayBuffer>) => {
      const array = new Int32Array(2 * old.length);
      array.set(old);
      return array;
    };
    this.#names = larger(this.#names);
    this.#values = larger(this.#values);
    this.#places = larger(this.#places);
  }
}
