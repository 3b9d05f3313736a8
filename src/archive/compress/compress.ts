import type { TarPiece } from "../encode.ts";
import type { CompressedFormat } from "../format.ts";
import { type CompressionLevels, DEFAULT_LEVELS } from "./levels.ts";
import { compressTar } from "./tar.ts";
import { Workers } from "./workers.ts";

/**
 * What all downloads of a process compress with, together. It starts nothing until the first of them, or
 * until it is told to, and doesn't keep the process alive when none runs.
 */
export interface Compressor {
  /**
   * Compresses a tar. Several may be at it at once; they take turns, and one whose consumer stalls
   * holds up no other.
   *
   * @throws Failure if a worker breaks, which ends all that run then; the next starts anew
   */
  compress(
    pieces: AsyncIterable<TarPiece>,
    format: CompressedFormat,
  ): AsyncGenerator<Uint8Array, void>;
  /** Starts a worker if none has been, so that it is there when the first block is. */
  prepare(): void;
  /** Ends the workers; what still runs fails. Final; twice is fine. */
  close(): void;
}

export interface CompressorOptions {
  /**
   * Of worker.ts. The entries name it, because in a compiled program only they stand where
   * a relative URL leads to it.
   */
  readonly workerUrl: URL | string;
  /** How many blocks are compressed at once, at least 1: the cores less one if left out. */
  readonly threads?: number | undefined;
  /** The defaults if left out. */
  readonly levels?: CompressionLevels | undefined;
}

export function createCompressor(options: CompressorOptions): Compressor {
  return new SharedCompressor(options);
}

class SharedCompressor implements Compressor {
  private current: Workers | undefined;
  private closed = false;
  private running = 0;

  constructor(private readonly options: CompressorOptions) {}

  async *compress(
    pieces: AsyncIterable<TarPiece>,
    format: CompressedFormat,
  ): AsyncGenerator<Uint8Array, void> {
    const { gzip, zstd } = this.options.levels ?? DEFAULT_LEVELS;
    const level = format === "tgz" ? gzip : zstd;
    this.running++;
    try {
      const workers = this.workers();
      yield* compressTar(pieces, workers, { format, level }, () => this.lookahead(workers));
    } finally {
      this.running--;
    }
  }

  prepare(): void {
    this.workers().prepare();
  }

  close(): void {
    this.closed = true;
    this.current?.close();
  }

  private workers(): Workers {
    const { workerUrl, threads = defaultThreads() } = this.options;
    if (this.current === undefined || this.current.broken) {
      this.current = new Workers(workerUrl, threads);
    }
    if (this.closed) this.current.close();
    return this.current;
  }

  /**
   * A lone download may have all slots at work. Of several each gets less, and at least one, so that
   * the memory of those that stall stays bounded.
   */
  private lookahead({ count }: Workers): number {
    return Math.max(1, Math.min(count, Math.floor((2 * count) / this.running)));
  }
}

/** Prometheus's own work on the host comes first: one core is left to it. */
function defaultThreads(): number {
  return Math.max(1, navigator.hardwareConcurrency - 1);
}
