import { Failure } from "../../lib/errors.ts";
import type { TarPiece } from "../encode.ts";
import { GZIP_BLOCK, GZIP_OVERHEAD, GZIP_SMALL_BLOCK } from "./gzip-block.ts";
import { GzipWorker } from "./gzip-worker.ts";
import type { Block, BlockPool } from "./pool.ts";
import { Slots } from "./slots.ts";

class SharedBlock implements Block {
  readonly bytes: Uint8Array;

  constructor(
    readonly index: number,
    readonly memory: SharedArrayBuffer,
  ) {
    this.bytes = new Uint8Array(memory);
  }
}

/**
 * Workers and the shared memory that they work in. All of it is given up as soon as one worker breaks:
 * it may still be writing into a block.
 */
export class GzipPool implements BlockPool {
  readonly blockSize = { large: GZIP_BLOCK, small: GZIP_SMALL_BLOCK };
  readonly blocks: number;
  private readonly memory: readonly SharedBlock[];
  private readonly slots: Slots<SharedBlock>;
  private readonly workers: GzipWorker[] = [];
  private failure: Error | undefined;

  /** Starts nothing: a thread is started when there is work for it. */
  constructor(
    private readonly workerUrl: URL | string,
    private readonly threads: number,
  ) {
    // One is filled while the others are compressed.
    this.blocks = threads + 1;
    this.memory = Array.from(
      { length: this.blocks },
      (_, index) => new SharedBlock(index, new SharedArrayBuffer(GZIP_BLOCK + GZIP_OVERHEAD)),
    );
    this.slots = new Slots(this.memory);
  }

  /** Whether a worker broke, or the pool was closed. */
  get broken(): boolean {
    return this.failure !== undefined;
  }

  acquire(): Promise<SharedBlock> {
    return this.slots.acquire();
  }

  release(block: SharedBlock): void {
    this.slots.release(block);
  }

  async compress(
    block: SharedBlock,
    length: number,
    kind: TarPiece["kind"],
  ): Promise<Uint8Array[]> {
    try {
      if (this.failure) throw this.failure;
      const compressed = await this.worker().run({ block: block.index, length, kind });
      return [block.bytes.slice(0, compressed)];
    } finally {
      this.release(block);
    }
  }

  close(): void {
    this.fail(new Failure("the compressor was closed"));
  }

  /** The idlest worker; a new one while all are busy and there may be more. */
  private worker(): GzipWorker {
    const [idlest] = this.workers.toSorted((a, b) => a.jobCount - b.jobCount);
    if (idlest && (idlest.jobCount === 0 || this.workers.length >= this.threads)) return idlest;
    const memory = this.memory.map((block) => block.memory);
    const worker = new GzipWorker(this.workerUrl, memory, (error) => this.fail(error));
    this.workers.push(worker);
    return worker;
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.slots.fail(error);
    for (const worker of this.workers) worker.end(error);
  }
}
