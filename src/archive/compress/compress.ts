import type { TarPiece } from "../encode.ts";
import { GzipPool } from "./gzip-pool.ts";
import type { BlockPool } from "./pool.ts";
import { compressTar } from "./tar.ts";
import { ZstdPool } from "./zstd-pool.ts";

/**
 * What all downloads of a process compress with, together. It costs nothing until the first of them,
 * and doesn't keep the process alive when none runs.
 */
export interface Compressor {
  /**
   * Compresses a tar. Several may be at it at once; they take turns, and one whose consumer stalls
   * holds up no other.
   *
   * @throws Failure if a worker breaks, which ends all `tgz` that run then; the next starts anew
   */
  compress(
    pieces: AsyncIterable<TarPiece>,
    format: CompressedFormat,
  ): AsyncGenerator<Uint8Array, void>;
  /** Ends the workers; what still runs fails. Final; twice is fine. */
  close(): void;
}

export type CompressedFormat = "tgz" | "tzst";

export interface CompressorOptions {
  /**
   * Of worker.ts. The entries name it, because in a compiled program only they stand where
   * a relative URL leads to it.
   */
  readonly workerUrl: URL | string;
  /** How many blocks are compressed at once, at least 1. */
  readonly threads: number;
}

export function createCompressor(options: CompressorOptions): Compressor {
  return new SharedCompressor(options);
}

class SharedCompressor implements Compressor {
  private gzip: GzipPool | undefined;
  private zstd: ZstdPool | undefined;
  private closed = false;
  private running = 0;

  constructor(private readonly options: CompressorOptions) {}

  async *compress(
    pieces: AsyncIterable<TarPiece>,
    format: CompressedFormat,
  ): AsyncGenerator<Uint8Array, void> {
    this.running++;
    try {
      const pool = this.pool(format);
      yield* compressTar(pieces, pool, () => this.lookahead(pool));
    } finally {
      this.running--;
    }
  }

  close(): void {
    this.closed = true;
    this.gzip?.close();
    this.zstd?.close();
  }

  private pool(format: CompressedFormat): BlockPool {
    const pool = format === "tgz" ? this.gzipPool() : this.zstdPool();
    if (this.closed) pool.close();
    return pool;
  }

  private gzipPool(): GzipPool {
    const { workerUrl, threads } = this.options;
    if (this.gzip === undefined || this.gzip.broken) this.gzip = new GzipPool(workerUrl, threads);
    return this.gzip;
  }

  private zstdPool(): ZstdPool {
    this.zstd ??= new ZstdPool(this.options.threads);
    return this.zstd;
  }

  /**
   * A lone download may have all blocks at work. Of several each gets less, and at least one, so that
   * the memory of those that stall stays bounded.
   */
  private lookahead(pool: BlockPool): number {
    return Math.max(1, Math.min(pool.blocks, Math.floor((2 * pool.blocks) / this.running)));
  }
}
