/** Integers of an entry: name, value, how many series have the pair, fingerprint of their ids. */
const STRIDE = 4;
const COUNT = 2;
const FINGERPRINT = 3;

const FIRST_CAPACITY = 1024;

/**
 * What stands for a set of series ids: the sum of these over its members, modulo 2^32. Mixing the
 * bits first (the finalizer of MurmurHash3) makes it tell sets apart whose ids have the same sum.
 */
export function fingerprint(id: number): number {
  let hash = id | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/**
 * The label pairs of an index, as numbers of symbols, each with the count and the fingerprint of the
 * series that have it: enough to compare the postings lists with the series without holding either.
 * A hash table of 16 bytes an entry, at most two thirds full.
 */
export class LabelPairs {
  size = 0;
  #table = new Int32Array(FIRST_CAPACITY * STRIDE);
  #mask = FIRST_CAPACITY - 1;

  /** Notes that a series, of which the fingerprint is given, has the pair. */
  add(name: number, value: number, fingerprintOfId: number): void {
    const at = this.#slot(name, value);
    const table = this.#table;
    const count = table[at + COUNT] ?? 0;
    if (count === 0) {
      table[at] = name;
      table[at + 1] = value;
      this.size++;
    }
    table[at + COUNT] = count + 1;
    table[at + FINGERPRINT] = (table[at + FINGERPRINT] ?? 0) + fingerprintOfId;
    if (count === 0 && 3 * this.size > 2 * (this.#mask + 1)) this.#grow();
  }

  /**
   * The pair's place, or -1 if no series has it. Places change with {@link add}.
   */
  find(name: number, value: number): number {
    const at = this.#slot(name, value);
    return this.count(at) > 0 ? at : -1;
  }

  /** The symbols of the pair at a place. */
  name(place: number): number {
    return this.#table[place] ?? 0;
  }

  value(place: number): number {
    return this.#table[place + 1] ?? 0;
  }

  /** How many series have it. */
  count(place: number): number {
    return (this.#table[place + COUNT] ?? 0) >>> 0;
  }

  /** The sum of the series' fingerprints, modulo 2^32 and signed. */
  fingerprint(place: number): number {
    return this.#table[place + FINGERPRINT] ?? 0;
  }

  /** Where the pair is, or the free slot for it. */
  #slot(name: number, value: number): number {
    const table = this.#table;
    let slot = (fingerprint(name) + Math.imul(value, 0x9e3779b1)) ^ (value >>> 15);
    for (;;) {
      slot &= this.#mask;
      const at = slot * STRIDE;
      if (table[at + COUNT] === 0) return at;
      if (table[at] === name && table[at + 1] === value) return at;
      slot++;
    }
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let at = 0; at < old.length; at += STRIDE) {
      if (old[at + COUNT] === 0) continue;
      this.#table.set(old.subarray(at, at + STRIDE), this.#slot(old[at] ?? 0, old[at + 1] ?? 0));
    }
  }
}
