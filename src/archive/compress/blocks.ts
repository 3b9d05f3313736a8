import type { TarPiece } from "../encode.ts";
import { free } from "../free.ts";
import type { Block, BlockPool } from "./pool.ts";

/** A block with something to compress in it. */
export interface FilledBlock {
  readonly block: Block;
  readonly length: number;
  readonly kind: TarPiece["kind"];
}

/**
 * Collects pieces into blocks of a pool, cut where a run starts and then every so many bytes. Each
 * block that it yields is the consumer's to compress; while it is suspended it holds none.
 */
export async function* fillBlocks(
  pieces: AsyncIterable<TarPiece>,
  pool: BlockPool,
): AsyncGenerator<FilledBlock> {
  const filler = new Filler(pool);
  try {
    for await (const { bytes, kind, startsRun } of pieces) {
      if (startsRun) yield* filler.take();
      for (let rest = bytes; rest.length > 0; ) {
        rest = await filler.add(rest, kind);
        if (filler.full) yield* filler.take();
      }
      free(bytes);
    }
    yield* filler.take();
  } finally {
    filler.drop();
  }
}

class Filler {
  private block: Block | undefined;
  private length = 0;
  private kind: TarPiece["kind"] = "small";

  constructor(private readonly pool: BlockPool) {}

  get full(): boolean {
    return this.length === this.pool.blockSize[this.kind];
  }

  /** Copies what fits, into a new block if there is none, and answers the rest. */
  async add(bytes: Uint8Array, kind: TarPiece["kind"]): Promise<Uint8Array> {
    if (this.block === undefined) {
      this.block = await this.pool.acquire();
      this.kind = kind;
    }
    const part = bytes.subarray(0, this.pool.blockSize[this.kind] - this.length);
    this.block.bytes.set(part, this.length);
    this.length += part.length;
    return bytes.subarray(part.length);
  }

  /** Hands the block over, if there is one. */
  *take(): Generator<FilledBlock> {
    const { block, length, kind } = this;
    this.block = undefined;
    this.length = 0;
    if (block) yield { block, length, kind };
  }

  drop(): void {
    if (this.block) this.pool.release(this.block);
    this.block = undefined;
  }
}
