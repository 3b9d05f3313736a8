import { free } from "../buffers.ts";
import type { ContentWatcher, TarPiece } from "../encode.ts";
import type { PlannedFile } from "../planned-file.ts";
import type { BlockContent } from "./messages.ts";
import type { Block, Slot, Workers } from "./workers.ts";

/** Bytes that a block has at most. */
export interface BlockSize {
  /** Of a file over 1 MiB. */
  readonly large: number;
  /** Of all the rest. */
  readonly small: number;
}

/**
 * Cuts a tar into blocks: large files from their starts, the rest where a run starts and then every so
 * many bytes. The slot of each block that it yields is the consumer's to use; while it is suspended it
 * holds none.
 */
export async function* cutBlocks(
  pieces: AsyncIterable<TarPiece>,
  workers: Workers,
  size: BlockSize,
): AsyncGenerator<Block> {
  const filler = new Filler(workers, size.small, "other");
  try {
    for await (const piece of pieces) {
      if ("file" in piece) {
        yield* filler.take();
        yield* cutFile(piece, workers, size.large);
        continue;
      }
      if (piece.startsRun) yield* filler.take();
      try {
        for (let rest = piece.bytes; rest.length > 0; ) {
          rest = await filler.add(rest);
          if (filler.full) yield* filler.take();
        }
      } finally {
        free(piece.bytes);
      }
    }
    yield* filler.take();
  } finally {
    filler.drop();
  }
}

type FilePiece = Extract<TarPiece, { file: PlannedFile }>;

/** The threads read the file by themselves, unless somebody wants to see it first. */
async function* cutFile(
  { file, content }: FilePiece,
  workers: Workers,
  size: number,
): AsyncGenerator<Block> {
  if (content !== undefined) {
    yield* cutWatched(file, content, workers, size);
    return;
  }
  for (let offset = 0; offset < file.size; offset += size) {
    const slot = await workers.acquire();
    const length = Math.min(size, file.size - offset);
    yield { slot, length, content: contentOf(file), source: { file, offset } };
  }
}

async function* cutWatched(
  file: PlannedFile,
  content: ContentWatcher,
  workers: Workers,
  size: number,
): AsyncGenerator<Block> {
  const filler = new Filler(workers, size, contentOf(file));
  try {
    for await (const bytes of file.read()) {
      await content.push(bytes);
      try {
        for (let rest = bytes; rest.length > 0; ) {
          rest = await filler.add(rest);
          if (filler.full) yield* filler.take();
        }
      } finally {
        free(bytes);
      }
    }
    yield* filler.take();
  } finally {
    filler.drop();
  }
}

/** Segments of chunks are named by numbers alone, and nothing else in a snapshot is. */
function contentOf({ path }: PlannedFile): BlockContent {
  return /\/chunks\/\d+$/.test(path) ? "chunks" : "other";
}

/** Collects pieces into a slot. */
class Filler {
  private slot: Slot | undefined;
  private length = 0;

  constructor(
    private readonly workers: Workers,
    private readonly size: number,
    private readonly content: BlockContent,
  ) {}

  get full(): boolean {
    return this.length === this.size;
  }

  /** Copies what fits, into a new slot if there is none, and answers the rest. */
  async add(bytes: Uint8Array): Promise<Uint8Array> {
    this.slot ??= await this.workers.acquire();
    const part = bytes.subarray(0, this.size - this.length);
    this.slot.bytes.set(part, this.length);
    this.length += part.length;
    return bytes.subarray(part.length);
  }

  /** Hands over what there is, if anything. */
  *take(): Generator<Block> {
    const { slot, length, content } = this;
    this.slot = undefined;
    this.length = 0;
    if (slot) yield { slot, length, content, source: undefined };
  }

  drop(): void {
    if (this.slot) this.workers.release(this.slot);
    this.slot = undefined;
  }
}
