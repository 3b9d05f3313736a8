import { viewOf, zerosEnd } from "../bytes.ts";
import { crc32c, crcText } from "../crc32c.ts";
import type { Findings } from "../findings.ts";
import { Carry } from "./carry.ts";
import { ChunkList } from "./chunk-list.ts";

const MAGIC = 0x85bd40dd | 0;
const HEADER_SIZE = 8;
const CRC_SIZE = 4;
const LONGEST_LENGTH = 5;

/**
 * No chunk is larger: floats have at most 65,535 samples of 19 bytes, and histograms are cut at
 * about 1 KiB or 10 samples. A longer record comes from a damaged length, and isn't waited for.
 */
const LARGEST_CHUNK = 16 * 1024 * 1024;

/**
 * Checks a segment, `chunks/NNNNNN`, as its bytes arrive (prometheus `tsdb/chunks/chunks.go`):
 *
 *     85 BD 40 DD · version 1 · 3 zero bytes · records until the end
 *
 * A record is the length of its data as uvarint of at most 5 bytes · the encoding, a byte · the
 * data · CRC-32C of encoding and data. There is no count and no end mark: that records are missing
 * at the end, only the index tells.
 *
 * Records are checked where they lie in the pieces pushed; only one that straddles two is copied.
 */
export class Segment {
  /** Its chunks so far. */
  readonly list: ChunkList;
  /** From here on, records couldn't be told apart. */
  lostFrom = Number.POSITIVE_INFINITY;

  readonly #file: string;
  readonly #findings: Findings;
  /** Bytes pushed. */
  #size = 0;
  readonly #carry = new Carry();
  /** The length of the length that {@link #itemSize} read last. */
  #lengthSize = 0;
  /** Where the last record is if its checksum was wrong: its length may be what is damaged. */
  #wrong: number | undefined;
  /** Where zeros began that may go on to the end. */
  #zerosFrom: number | undefined;

  /** @param file the name for messages. */
  constructor(file: string, findings: Findings, decodeSamples: boolean) {
    this.#file = file;
    this.#findings = findings;
    this.list = new ChunkList(file, findings, decodeSamples);
  }

  /** Checks the next piece of the file. The bytes are not kept. */
  push(bytes: Uint8Array): void {
    const start = this.#carry.size > 0 ? this.#completeCarry(bytes) : 0;
    const end = this.#take(bytes, start, bytes.length, this.#size);
    this.#size += bytes.length;
    this.#carry.add(bytes, end, bytes.length);
  }

  /** Says that the last piece was pushed. */
  end(): void {
    if (this.#size < HEADER_SIZE) {
      this.#loseHeader(`it has ${this.#size} bytes, less than the header's ${HEADER_SIZE}`);
    } else if (this.#carry.size > 0) {
      const start = this.#size - this.#carry.size;
      this.#lose(start, `the file ends ${this.#carry.size} bytes into the record of a chunk`);
    } else if (this.#zerosFrom !== undefined) {
      const zeros = this.#size - this.#zerosFrom;
      this.#find("segment-zeros", this.#zerosFrom, `${zeros} zero bytes follow the last chunk`);
    }
  }

  /** Fills the carry up from `bytes` until its item is whole, and takes that. */
  #completeCarry(bytes: Uint8Array): number {
    const carry = this.#carry;
    const start = this.#size - carry.size;
    for (let used = 0; ; ) {
      const missing = this.#itemSize(carry.bytes, 0, carry.size, start) - carry.size;
      if (missing <= 0) {
        this.#take(carry.bytes, 0, carry.size, start);
        carry.size = 0;
        return used;
      }
      if (used === bytes.length) return used;
      const end = Math.min(used + missing, bytes.length);
      carry.add(bytes, used, end);
      used = end;
    }
  }

  /**
   * Checks the whole items in `bytes[start, end)`, where byte 0 is at `base` of the file.
   *
   * @returns where the first one begins that is not whole.
   */
  #take(bytes: Uint8Array, start: number, end: number, base: number): number {
    const view = viewOf(bytes);
    for (let at = start; at < end; ) {
      if (base + at >= this.lostFrom) return end;
      if (this.#zerosFrom !== undefined) {
        at = zerosEnd(bytes, at, end);
        if (at < end) this.#lose(this.#zerosFrom, "a record of no data is not a chunk");
        continue;
      }
      const size = this.#itemSize(bytes, at, end, base + at);
      if (size > end - at) return at;
      if (base + at === 0) this.#checkHeader(bytes, view, at);
      else this.#checkRecord(bytes, view, at, at + size, base + at);
      at += size;
    }
    return end;
  }

  /**
   * The size of the header or record at `at`; when too little of it is there to tell, a size that
   * is larger than what is there. Of a record that can't be, only the length is taken.
   */
  #itemSize(bytes: Uint8Array, at: number, end: number, position: number): number {
    if (position === 0) return HEADER_SIZE;
    let length = 0;
    for (let i = 0; i < LONGEST_LENGTH; i++) {
      if (at + i >= end) return i + 1;
      const byte = bytes[at + i] ?? 0;
      // What the fifth byte could add is too large anyway.
      if (i < LONGEST_LENGTH - 1) length |= (byte & 0x7f) << (7 * i);
      else if (byte > 0) length = LARGEST_CHUNK + 1;
      if (byte < 0x80) {
        this.#lengthSize = i + 1;
        return length > 0 && length <= LARGEST_CHUNK ? i + 2 + length + CRC_SIZE : i + 1;
      }
    }
    this.#lengthSize = LONGEST_LENGTH;
    return LONGEST_LENGTH;
  }

  #checkHeader(bytes: Uint8Array, view: DataView, at: number): void {
    if (view.getInt32(at) !== MAGIC) {
      this.#loseHeader("it does not begin with the magic number of chunks");
    } else if (bytes[at + 4] !== 1) {
      this.#loseHeader(`its version is ${bytes[at + 4]}, not 1`);
    } else if (zerosEnd(bytes, at + 5, at + HEADER_SIZE) < at + HEADER_SIZE) {
      this.#find("segment-padding", 5, "the header's padding is not zero");
    }
  }

  #checkRecord(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    position: number,
  ): void {
    const encodingAt = start + this.#lengthSize;
    if (encodingAt === end) {
      this.#checkLength(bytes, start, end, position);
      return;
    }
    const crcAt = end - CRC_SIZE;
    const crc = crc32c(view, encodingAt, crcAt);
    const stored = view.getInt32(crcAt);
    if (crc !== stored) {
      this.#checksumWrong(position, stored, crc);
      return;
    }
    this.#wrong = undefined;
    this.list.add(view, position, encodingAt, crcAt);
  }

  /** A record of which only the length was taken: the first of trailing zeros, or damage. */
  #checkLength(bytes: Uint8Array, start: number, end: number, position: number): void {
    if (end - start === 1 && bytes[start] === 0) this.#zerosFrom = position;
    else this.#lose(position, "the length of the record is not one of a chunk");
  }

  #checksumWrong(position: number, stored: number, crc: number): void {
    if (this.#wrong !== undefined) {
      const text = `two records in a row, from ${this.#wrong} on, have a wrong checksum`;
      this.#lose(position, text);
      return;
    }
    this.#wrong = position;
    const text = `the chunk's checksum is ${crcText(crc)}, not the stored ${crcText(stored)}`;
    this.list.addDamaged(position, text);
  }

  /** Gives up the records from `position` on, or from behind the wrong one before it. */
  #lose(position: number, reason: string): void {
    this.#find("chunk-record", position, `${reason}: what follows can't be checked`);
    this.lostFrom = this.#wrong === undefined ? position : this.#wrong + 1;
    this.#carry.size = 0;
    this.#zerosFrom = undefined;
  }

  #loseHeader(reason: string): void {
    this.#find("segment-header", 0, `it is not a segment of chunks: ${reason}`);
    this.lostFrom = 0;
  }

  #find(
    kind: "chunk-record" | "segment-header" | "segment-padding" | "segment-zeros",
    position: number,
    message: string,
  ): void {
    this.#findings.add(kind, this.#file, position, message);
  }
}
