import { DamagedError } from "../../lib/errors.ts";

/** Frames that need a larger window than this are refused, so that memory stays bounded. */
const MAX_ZSTD_WINDOW = 128 * 1024 * 1024;

/** The first four bytes of a frame, little-endian (RFC 8878, sections 3.1.1 and 3.1.2). */
const FRAME_MAGIC = 0xfd2fb528;
/** The last four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/** Whether a zstd stream can begin with these four bytes. */
export function isZstdMagic(magic: number): boolean {
  return magic === FRAME_MAGIC || isSkippable(magic);
}

/** A field of the format: its length in bytes (never 0), and what it says about the next one. */
interface Step {
  readonly size: number;
  readonly read: (view: DataView) => Step;
}

/**
 * Follows the structure of a zstd stream (RFC 8878, section 3.1): frames made of a header, blocks
 * and an optional checksum, skippable frames between them. It decodes nothing. It is there because
 * Bun's decompressor takes a stream that ends too early for complete, and passes over whatever
 * follows the last frame. Pieces may have any size.
 */
export class ZstdFrames {
  #offset = 0;
  #frameStart = 0;
  /** Bytes to pass over before the next field. */
  #skip = 0;
  readonly #field = new Uint8Array(16);
  #have = 0;
  readonly #frameMagic: Step = { size: 4, read: (view) => this.#readMagic(view) };
  #step = this.#frameMagic;

  /** @throws DamagedError with the offset if the structure is broken, or the window too large. */
  push(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      const left = piece.length - at;
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, left);
        this.#skip -= skipped;
        this.#offset += skipped;
        at += skipped;
        continue;
      }
      const part = piece.subarray(at, at + Math.min(this.#step.size - this.#have, left));
      this.#field.set(part, this.#have);
      this.#have += part.length;
      this.#offset += part.length;
      at += part.length;
      if (this.#have < this.#step.size) return;
      this.#have = 0;
      this.#step = this.#step.read(new DataView(this.#field.buffer));
    }
  }

  /** @throws DamagedError if the input ended within a frame. */
  end(): void {
    if (this.#step === this.#frameMagic && this.#have === 0 && this.#skip === 0) return;
    const frame = `the frame that begins at byte ${this.#frameStart}`;
    throw new DamagedError(`zstd: truncated: it ends at byte ${this.#offset}, within ${frame}`);
  }

  #readMagic(view: DataView): Step {
    const magic = view.getUint32(0, true);
    this.#frameStart = this.#offset - 4;
    if (magic === FRAME_MAGIC) return { size: 1, read: (next) => this.#readDescriptor(next) };
    if (isSkippable(magic)) return { size: 4, read: (next) => this.#readSkippable(next) };
    throw new DamagedError(`zstd: what follows at byte ${this.#frameStart} is not a zstd frame`);
  }

  #readSkippable(view: DataView): Step {
    this.#skip = view.getUint32(0, true);
    return this.#frameMagic;
  }

  /** Section 3.1.1.1.1. Its bit 4 is unused and its bit 3 reserved, which the decompressor checks. */
  #readDescriptor(view: DataView): Step {
    const descriptor = view.getUint8(0);
    const single = (descriptor & 0x20) !== 0;
    const checksum = (descriptor & 0x04) !== 0 ? 4 : 0;
    const windowSize = single ? 0 : 1;
    const dictionarySize = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
    const read = (next: DataView): Step => {
      const content = contentSizeAt(next, windowSize + dictionarySize, contentSize);
      this.#checkWindow(single ? content : windowOf(next.getUint8(0)));
      return this.#block(checksum);
    };
    return { size: windowSize + dictionarySize + contentSize, read };
  }

  #checkWindow(bytes: number): void {
    if (bytes <= MAX_ZSTD_WINDOW) return;
    const limit = "more than 128 MiB are refused: compress with a smaller --long";
    throw new DamagedError(
      `zstd: the frame at byte ${this.#frameStart} needs a window of ${bytes} bytes; ${limit}`,
    );
  }

  /** Section 3.1.1.2. */
  #block(checksum: number): Step {
    const read = (view: DataView): Step => {
      const header = view.getUint16(0, true) + view.getUint8(2) * 0x10000;
      const type = (header >> 1) & 3;
      if (type === 3) throw new DamagedError(`zstd: a bad block at byte ${this.#offset - 3}`);
      // A run-length block stores one byte, whatever its size says.
      this.#skip = type === 1 ? 1 : header >> 3;
      if ((header & 1) === 0) return this.#block(checksum);
      this.#skip += checksum;
      return this.#frameMagic;
    };
    return { size: 3, read };
  }
}

function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
}

/** Section 3.1.1.1.2: an exponent and three bits of mantissa. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSizeAt(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at);
  if (size === 2) return view.getUint16(at, true) + 256;
  if (size === 4) return view.getUint32(at, true);
  return size === 8 ? Number(view.getBigUint64(at, true)) : 0;
}
