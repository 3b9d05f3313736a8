import type { BitReader } from "./bit-reader.ts";

/** Why a value can't be one that Prometheus wrote, or undefined. */
export type ValueFault = string | undefined;

export const NO_WINDOW = "a value refers to bits of an earlier one that are not there";
export const BAD_WINDOW = "a value has more than 64 bits";

/**
 * The state of one stream of values that are each stored as the xor with the one before: `0` same
 * · `10` the bits of the window at hand · `11` a new window: 5 bits of leading zeros, 6 bits of
 * width (0 means 64), the bits. Keeps the window, not the value.
 */
export class XorWindow {
  /** Zero bits below the window. */
  trailing = 0;
  /** Bits of the window, 1 to 64; 0 before the first. */
  width = 0;

  skipValue(reader: BitReader): ValueFault {
    const kind = reader.ones(2);
    if (kind === 0) return undefined;
    const fault = kind === 2 ? this.open(reader) : this.reuse();
    reader.skip(this.width);
    return fault;
  }

  /** Reads the dimensions of a new window. */
  open(reader: BitReader): ValueFault {
    const leading = reader.bits(5);
    this.width = reader.bits(6) || 64;
    this.trailing = 64 - leading - this.width;
    return this.trailing < 0 ? BAD_WINDOW : undefined;
  }

  reuse(): ValueFault {
    return this.width === 0 ? NO_WINDOW : undefined;
  }
}

/** As an {@link XorWindow}, with the value: what tells a histogram's stale marker. */
export class XorValue extends XorWindow {
  #high = 0;
  #low = 0;

  /** The first value is 64 plain bits, the others are xor-ed. */
  read(reader: BitReader, first: boolean): ValueFault {
    if (!first) return this.#readNext(reader);
    this.#high = reader.pattern(32);
    this.#low = reader.pattern(32);
    return undefined;
  }

  /** Whether it is the NaN by which Prometheus marks a series as gone (`value.StaleNaN`). */
  get isStale(): boolean {
    return this.#high === 0x7ff00000 && this.#low === 2;
  }

  #readNext(reader: BitReader): ValueFault {
    const kind = reader.ones(2);
    if (kind === 0) return undefined;
    const fault = kind === 2 ? this.open(reader) : this.reuse();
    if (fault !== undefined) return fault;
    const high = reader.pattern(Math.max(this.width - 32, 0));
    const low = reader.pattern(Math.min(this.width, 32));
    const shift = this.trailing;
    if (shift >= 32) {
      this.#high ^= low << (shift - 32);
    } else {
      // A shift by 32 is one by 0 here, so the carry of a shift by 0 goes in two steps.
      this.#high ^= (high << shift) | ((low >>> 1) >>> (31 - shift));
      this.#low ^= low << shift;
    }
    return undefined;
  }
}
