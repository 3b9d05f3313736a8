import { Failure } from "../../lib/errors.ts";
import { ZSTD_LEVEL } from "./levels.ts";
import type { Block, BlockPool } from "./pool.ts";
import { Slots } from "./slots.ts";
import { addChecksum } from "./zstd-checksum.ts";

const MIB = 1024 * 1024;

/** Frames on Bun's thread pool, of which no more than `threads` are at work at once. */
export class ZstdPool implements BlockPool {
  readonly blockSize = { large: 4 * MIB, small: MIB / 2 };
  readonly blocks: number;
  private readonly slots: Slots<Block>;
  private readonly turns: Slots<number>;

  constructor(threads: number) {
    // One is filled while the others are compressed. More would be faster by a hair, for 15 MB each.
    this.blocks = Math.max(2, threads);
    const buffers = Array.from({ length: this.blocks }, () => new Uint8Array(this.blockSize.large));
    this.slots = new Slots<Block>(buffers.map((bytes) => ({ bytes })));
    this.turns = new Slots(Array.from({ length: threads }, (_, index) => index));
  }

  acquire(): Promise<Block> {
    return this.slots.acquire();
  }

  release(block: Block): void {
    this.slots.release(block);
  }

  async compress(block: Block, length: number): Promise<Uint8Array[]> {
    try {
      const turn = await this.turns.acquire();
      try {
        const content = block.bytes.subarray(0, length);
        const frame = await Bun.zstdCompress(content, { level: ZSTD_LEVEL });
        return addChecksum(frame, content);
      } finally {
        this.turns.release(turn);
      }
    } finally {
      this.release(block);
    }
  }

  close(): void {
    const error = new Failure("the compressor was closed");
    this.slots.fail(error);
    this.turns.fail(error);
  }
}
