import type { BitReader } from "./bit-reader.ts";

/**
 * The start timestamps that encodings 4 to 6 (Prometheus 3.11 and later) may store beside the
 * samples. Their header byte: bit 7, sample 0 has one; the lower 7 bits, the index of the first
 * sample that stores a change of it, 0 for none.
 */
export class StartTimes {
  readonly #ofFirst: boolean;
  readonly #changesFrom: number;

  constructor(reader: BitReader) {
    const header = reader.bits(8);
    this.#ofFirst = header >= 0x80;
    this.#changesFrom = header & 0x7f;
  }

  /** Steps over what is stored behind the sample of this index. */
  skip(reader: BitReader, sample: number): void {
    if (sample === 0) {
      if (this.#ofFirst) reader.uvarint();
    } else if (this.#changesFrom > 0 && sample >= this.#changesFrom) {
      reader.skipVarbits(1);
    }
  }
}
