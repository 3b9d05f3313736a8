/** Writes a bit stream, most significant bit first. */
export class BitWriter {
  readonly #bits: number[] = [];

  /** The lowest `width` bits of an integer; of a negative one, those of its two's complement. */
  put(value: number | bigint, width: number): this {
    const bits = BigInt.asUintN(width, BigInt(value));
    for (let i = BigInt(width) - 1n; i >= 0n; i--) this.#bits.push(Number((bits >> i) & 1n));
    return this;
  }

  putBytes(bytes: Iterable<number>): this {
    for (const byte of bytes) this.put(byte, 8);
    return this;
  }

  get length(): number {
    return this.#bits.length;
  }

  /** Whole bytes, the last one filled up with zero bits. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.#bits.length / 8));
    this.#bits.forEach((bit, i) => {
      bytes[i >>> 3] = (bytes[i >>> 3] ?? 0) | (bit << (7 - (i & 7)));
    });
    return bytes;
  }
}

const VARBIT_WIDTHS = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/** A varbit integer in the narrowest width that holds it. */
export function putVarbit(writer: BitWriter, value: number | bigint, signed: boolean): void {
  const number = BigInt(value);
  const fits = (width: number) => {
    if (width === 0) return number === 0n;
    if (!signed) return number < 1n << BigInt(width);
    const half = 1n << BigInt(width - 1);
    return width === 64 || (number > -half && number <= half);
  };
  const ones = VARBIT_WIDTHS.findIndex(fits);
  writer.put(-1, ones);
  if (ones < 8) writer.put(0, 1);
  writer.put(number, VARBIT_WIDTHS[ones] ?? 0);
}
