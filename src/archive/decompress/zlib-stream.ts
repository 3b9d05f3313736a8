import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DamagedError, errorCode, Failure } from "../../lib/errors.ts";

/**
 * Bytes that a decompressor makes at a time. Each piece is a round trip to the thread pool, and the
 * default of 16 KiB costs two thirds of the throughput.
 */
export const OUTPUT_PIECE = 256 * 1024;

/** Smaller pieces of input are put together up to this size, for the same reason. */
const INPUT_PIECE = 128 * 1024;

/** More pieces than a stream reads ahead of the decompressor. */
const AHEAD = 64;

/** A stream of `node:zlib`: it works on the thread pool and takes no more than it can hand on. */
type Engine = Transform & {
  /** Bytes of input that were used up. */ readonly bytesWritten: number;
};

/** What goes into a decompressor, counted. */
export class Feed implements AsyncIterable<Uint8Array> {
  readonly #input: AsyncIterable<Uint8Array>;
  readonly #look: (piece: Uint8Array) => void;
  /** Where the latest pieces end. */
  readonly #ends: number[] = [];
  #bytes = 0;
  #error: unknown;

  /** @param look sees each piece before the decompressor does; what it throws ends the input. */
  constructor(input: AsyncIterable<Uint8Array>, look: (piece: Uint8Array) => void = () => {}) {
    this.#input = input;
    this.#look = look;
  }

  /** Bytes handed to the decompressor. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The decompressor counts what it has used when a piece is done: one that it fails at ends here. */
  endOfPiece(used: number): number {
    return this.#ends.find((end) => end > used) ?? this.#bytes;
  }

  /** What the input failed with, as against the decompressor. */
  get error(): unknown {
    return this.#error;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    // A pipeline throws the engine's own error in here; #pieces is only told to return then.
    for await (const piece of this.#pieces()) yield piece;
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of gathered(this.#input)) {
        this.#look(piece);
        this.#bytes += piece.length;
        if (this.#ends.push(this.#bytes) > AHEAD) this.#ends.shift();
        yield piece;
      }
    } catch (error) {
      this.#error = error;
      throw error;
    }
  }
}

/**
 * What the engine makes of the feed. When the consumer stops early, the engine is stopped and the
 * input closed. Output that the engine held when it failed is lost.
 *
 * @throws DamagedError if the engine can't decode it; an error of the input as it is.
 */
export async function* decode(
  format: "gzip" | "zstd",
  feed: Feed,
  engine: Engine,
): AsyncGenerator<Uint8Array> {
  // Its errors come out of the engine as well; only there is somebody to tell.
  pipeline(Readable.from(feed), engine).catch(() => {});
  const output: AsyncIterable<Uint8Array> = engine;
  try {
    for await (const piece of output) yield piece;
  } catch (error) {
    throw error === feed.error ? error : explained(format, error, engine.bytesWritten, feed);
  } finally {
    engine.destroy();
  }
}

async function* gathered(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(INPUT_PIECE);
  let used = 0;
  for await (const piece of input) {
    if (used > 0 && used + piece.length > INPUT_PIECE) {
      yield buffer.subarray(0, used);
      buffer = new Uint8Array(INPUT_PIECE);
      used = 0;
    }
    if (piece.length >= INPUT_PIECE) {
      // The engine reads ahead, and a piece is good until the next one only.
      yield new Uint8Array(piece);
    } else {
      buffer.set(piece, used);
      used += piece.length;
    }
  }
  if (used > 0) yield buffer.subarray(0, used);
}

/** Codes: zlib's `Z_DATA_ERROR` and the like, and `ZSTD_error_checksum_wrong` and the like. */
function explained(format: string, cause: unknown, used: number, feed: Feed): Error {
  const code = errorCode(cause) ?? "";
  if (code === "Z_BUF_ERROR") {
    return new DamagedError(`${format}: truncated: it ends at byte ${used}, within its data`);
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (/^(Z_DATA_ERROR|Z_NEED_DICT|ZSTD_error_(?!memory_allocation).*)$/.test(code)) {
    const place = `at or before byte ${feed.endOfPiece(used)}`;
    return new DamagedError(`${format}: damaged ${place}: ${reason}`, { cause });
  }
  return new Failure(`${format}: can't decompress at byte ${used}: ${reason}`, { cause });
}
