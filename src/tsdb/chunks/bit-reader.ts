import { fromZigzag } from "../bytes.ts";

/** Widths of the values behind a prefix of 0 to 8 ones (prometheus `tsdb/chunkenc/varbit.go`). */
const VARBIT_WIDTHS = Uint8Array.of(0, 3, 6, 9, 12, 18, 25, 56, 64);

/**
 * Reads the bit stream of a chunk, most significant bit first, from the bytes `[start, end)` of a
 * view. **At least 4 more bytes must follow `end`** (in a segment the checksum does): they may be
 * looked at, but are never taken.
 *
 * Nothing throws: a read past the end, or of an integer beyond ±2^53, gives 0 and sets
 * {@link failed}. After a failure every read fails, so a loop that looks at `failed` ends.
 */
export class BitReader {
  failed = false;
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** The position, in bits of the view; a chunk ends well before 2^31 of them. */
  #at = 0;
  #end = 0;

  reset(view: DataView, start: number, end: number): void {
    this.#view = view;
    this.#at = start * 8;
    this.#end = end * 8;
    this.failed = false;
  }

  /** The position in bits of the view. */
  get at(): number {
    return this.#at;
  }

  /** How many bits are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Steps over `count` bits. */
  skip(count: number): void {
    if (count > this.#end - this.#at) this.#fail();
    else this.#at += count;
  }

  /** The next `count` bits, at most 25, as an unsigned integer. 0 bits are 0. */
  bits(count: number): number {
    if (count > this.#end - this.#at) return this.#fail();
    if (count === 0) return 0;
    const value = this.#peek() >>> (32 - count);
    this.#at += count;
    return value;
  }

  /** The next `count` bits, 0 to 32, as a signed 32-bit pattern: for parts of larger values. */
  pattern(count: number): number {
    if (count <= 25) return this.bits(count);
    const high = this.bits(count - 16);
    return (high << 16) | this.bits(16);
  }

  bit(): number {
    return this.bits(1);
  }

  /** How many ones come next, at most `most` (8 or less); takes the 0 that ends fewer, too. */
  ones(most: number): number {
    const count = Math.min(most, Math.clz32(~this.#peekInside()));
    this.skip(count === most ? count : count + 1);
    return this.failed ? 0 : count;
  }

  /** Unsigned LEB128 in whole bytes, wherever they lie in the stream. */
  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.bits(8);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return this.#safe(value);
      scale *= 128;
    }
    return this.#fail();
  }

  /** The zigzag form of {@link uvarint}. */
  varint(): number {
    return fromZigzag(this.uvarint());
  }

  /** Steps over `count` varbit integers of either kind; those that are 0 go up to 24 at a time. */
  skipVarbits(count: number): void {
    for (let left = count; left > 0 && !this.failed; ) {
      const zeros = Math.min(Math.clz32(this.#peekInside()), 24, left);
      left -= Math.max(zeros, 1);
      this.skip(zeros > 0 ? zeros : (VARBIT_WIDTHS[this.ones(8)] ?? 0));
    }
  }

  /** A varbit unsigned integer. */
  varbitUint(): number {
    const width = VARBIT_WIDTHS[this.ones(8)] ?? 0;
    if (width <= 25) return this.bits(width);
    const high = this.pattern(width - 32) >>> 0;
    return this.#safe(high * 2 ** 32 + (this.pattern(32) >>> 0));
  }

  /** A varbit signed integer. */
  varbitInt(): number {
    return this.signed(VARBIT_WIDTHS[this.ones(8)] ?? 0);
  }

  /**
   * A signed integer of `width` bits, where the pattern 100…0 stands for the *positive* 2^(width-1)
   * (a range of -2^(n-1)+1 to 2^(n-1)); 64 bits are plain two's complement.
   */
  signed(width: number): number {
    if (width <= 25) {
      const raw = this.bits(width);
      return width > 0 && raw > 2 ** (width - 1) ? raw - 2 ** width : raw;
    }
    if (width === 64) return this.twosComplement64();
    // 56 bits. The one pattern whose sign differs is beyond 2^53 either way.
    const high = (this.bits(24) << 8) >> 8;
    return this.#safe(high * 2 ** 32 + (this.pattern(32) >>> 0));
  }

  /** A signed 64-bit integer in two's complement. */
  twosComplement64(): number {
    const high = this.pattern(32);
    return this.#safe(high * 2 ** 32 + (this.pattern(32) >>> 0));
  }

  /** Whether only 0 to 8 bits are left, all 0: writers before Prometheus 3.0 could leave a byte. */
  atPadding(): boolean {
    return !this.failed && this.left <= 8 && this.bits(this.left) === 0;
  }

  /** The next bits in the upper 25 of 32; what lies behind the end of the stream is unspecified. */
  #peek(): number {
    return this.#view.getInt32(this.#at >>> 3) << (this.#at & 7);
  }

  #peekInside(): number {
    return this.#at < this.#end ? this.#peek() : 0;
  }

  #safe(value: number): number {
    return Number.isSafeInteger(value) ? value : this.#fail();
  }

  #fail(): number {
    this.failed = true;
    this.#at = this.#end;
    return 0;
  }
}
