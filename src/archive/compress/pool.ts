import type { TarPiece } from "../encode.ts";

/** A buffer lent by a pool: filled with one block of input, then handed to `compress`. */
export interface Block {
  readonly bytes: Uint8Array;
}

/**
 * Compresses blocks off the main thread, each into a gzip member or zstd frame of its own, for all
 * downloads of a process. The same bytes of the same kind always give the same result.
 *
 * Blocks are few, which bounds the memory, and lent first come, first served. Whoever has one must,
 * without waiting for its own consumer, either `compress` it or `release` it: so a download whose
 * client stalls keeps nothing that others wait for.
 */
export interface BlockPool {
  /** How many blocks there are. */
  readonly blocks: number;
  /** Bytes that fit in a block of each kind. */
  readonly blockSize: Readonly<Record<TarPiece["kind"], number>>;
  /** Waits for a free block. Rejects with a Failure after `close` or if the compressor broke. */
  acquire(): Promise<Block>;
  /** Gives a block back unused. */
  release(block: Block): void;
  /**
   * Compresses the first `length` bytes of the block and gives it back in any case.
   *
   * @returns the compressed bytes, in buffers of the caller's own
   */
  compress(block: Block, length: number, kind: TarPiece["kind"]): Promise<Uint8Array[]>;
  /** What waits or runs fails; blocks that are lent stay valid. Twice is fine. */
  close(): void;
}
