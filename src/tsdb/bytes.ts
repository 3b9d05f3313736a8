/**
 * Reads the integers of the TSDB formats from `bytes[at, end)`: big-endian fixed ones, unsigned
 * LEB128 varints, and the zigzag ones of Go's `PutVarint`.
 *
 * Nothing throws: a read past the end, or of a number beyond 2^53 (no real file holds one: the year
 * 287396 in milliseconds), gives 0 and sets {@link failed}, as every read after it does; the caller
 * looks at that once per item.
 */
export class ByteReader {
  failed = false;
  at = 0;
  end = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.at = start | 0;
    this.end = end | 0;
    this.failed = false;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.end - this.at;
  }

  byte(): number {
    if (this.at >= this.end) return this.#fail();
    return this.#bytes[this.at++] ?? 0;
  }

  /** Steps over `count` bytes. */
  skip(count: number): void {
    if (count > this.end - this.at) this.#fail();
    else this.at += count | 0;
  }

  uvarint(): number {
    // Most are of a few bytes: those go by integers of 32 bits, and without a call for each byte.
    const bytes = this.#bytes;
    const end = Math.min(this.end, this.at + 4);
    let value = 0;
    for (let at = this.at, shift = 0; at < end; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
    }
    return this.end - this.at > 4 ? this.#timeUvarint(value) : this.#longUvarint();
  }

  /**
   * A uvarint below 2^31, as lengths, counts and symbols are; a larger one fails. The engine knows what
   * comes from here to be an integer, and is faster with all that is computed or indexed by it.
   */
  uint31(): number {
    const bytes = this.#bytes;
    const end = Math.min(this.end, this.at + 5);
    let value = 0;
    for (let at = this.at, shift = 0; at < end; shift += 7) {
      const byte = bytes[at++] ?? 0;
      // The fifth byte has room for three bits.
      if (shift === 28 && byte > 7) break;
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      this.at = at;
      return value;
    }
    return this.#fail();
  }

  /** Goes on behind four bytes: a time takes six, and there is one in each series. */
  #timeUvarint(low: number): number {
    const bytes = this.#bytes;
    const end = Math.min(this.end, this.at + 7);
    let high = 0;
    for (let at = this.at + 4, shift = 0; at < end; shift += 7) {
      const byte = bytes[at++] ?? 0;
      high |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return high * 2 ** 28 + low;
      }
    }
    return this.#longUvarint();
  }

  /** The zigzag form: 0, -1, 1, -2, … are stored as 0, 1, 2, 3, … */
  varint(): number {
    return fromZigzag(this.uvarint());
  }

  /** A signed integer that was stored as the uvarint of its 64 bits, negative ones in ten bytes. */
  uvarintAsSigned(): number {
    const start = this.at;
    const value = this.uvarint();
    if (!this.failed || this.end - start < 10) return value;
    this.failed = false;
    this.at = start;
    let bits = 0n;
    for (let shift = 0n; shift < 63n; shift += 7n) {
      const byte = this.byte();
      if (byte < 0x80) return this.#fail();
      bits |= BigInt(byte & 0x7f) << shift;
    }
    const top = this.byte();
    const signed = Number(BigInt.asIntN(64, bits | (BigInt(top) << 63n)));
    return top <= 1 && Number.isSafeInteger(signed) ? signed : this.#fail();
  }

  #longUvarint(): number {
    let value = 0;
    let scale = 1;
    // Ten bytes hold 64 bits; a real number ends within eight, as it stays below 2^53.
    for (let i = 0; i < 10; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (this.failed) return 0;
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : this.#fail();
      scale *= 128;
    }
    return this.#fail();
  }

  #fail(): number {
    this.failed = true;
    this.at = this.end;
    return 0;
  }
}

/** Undoes the zigzag. Not by `%`, which takes longer than all the rest for a number above 2^31. */
export function fromZigzag(value: number): number {
  const half = Math.floor(value / 2);
  return 2 * half === value ? half : -half - 1;
}

/** A view of the same bytes: its integers are big-endian unless said otherwise, as the formats'. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The unsigned 64-bit integer at `at`: exact below 2^53, and not below that otherwise. */
export function uint64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** Where the first byte other than 0 of `bytes[start, end)` is, or `end`. */
export function zerosEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] === 0) at++;
  return at;
}
