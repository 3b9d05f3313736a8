import { Failure } from "../../lib/errors.ts";
import { Slots } from "../../lib/slots.ts";
import { allocate, LARGEST_PIECE } from "../buffers.ts";
import type { PlannedFile } from "../planned-file.ts";
import { BLOCK_OVERHEAD, LARGEST_BLOCK } from "./block-sizes.ts";
import { CompressWorker } from "./compress-worker.ts";
import type { BlockContent, BlockFormat, Job, Outcome } from "./messages.ts";

/** Shared memory, lent for one block: its input may come in here, and its result goes out. */
export class Slot {
  /** Takes no memory before it is written to. */
  readonly memory = new SharedArrayBuffer(LARGEST_BLOCK + BLOCK_OVERHEAD);
  readonly bytes = new Uint8Array(this.memory);

  constructor(readonly index: number) {}
}

/** Some bytes to compress into a gzip member or zstd frame of their own. */
export interface Block {
  readonly slot: Slot;
  readonly length: number;
  readonly content: BlockContent;
  /** Where they are, if the slot doesn't begin with them. */
  readonly source: { readonly file: PlannedFile; readonly offset: number } | undefined;
}

/**
 * Threads that compress for all downloads of a process, and the slots that they work in. All of it is
 * given up as soon as one thread breaks: it may still be writing into a slot.
 *
 * Slots are few, which bounds the memory, and lent first come, first served. Whoever has one must,
 * without waiting for its own consumer, either `compress` what is in it or `release` it: so a download
 * whose client stalls keeps nothing that others wait for.
 */
export class Workers {
  /** How many slots there are: enough that no thread waits while others are filled or emptied. */
  readonly count: number;
  private readonly all: readonly Slot[];
  private readonly slots: Slots<Slot>;
  private readonly workers: CompressWorker[] = [];
  private failure: Error | undefined;

  /** Starts nothing: a thread is started when there is work for it, or by `prepare`. */
  constructor(
    private readonly workerUrl: URL | string,
    private readonly threads: number,
  ) {
    this.count = 2 * threads + 1;
    this.all = Array.from({ length: this.count }, (_, index) => new Slot(index));
    this.slots = new Slots(this.all);
  }

  /** Whether a thread broke, or `close` was called. */
  get broken(): boolean {
    return this.failure !== undefined;
  }

  /** Starts a thread if there is none. */
  prepare(): void {
    if (this.workers.length === 0 && !this.failure) this.start();
  }

  /** Waits for a free slot. Rejects with a Failure after `close` or if a thread broke. */
  acquire(): Promise<Slot> {
    return this.slots.acquire();
  }

  /** Gives a slot back unused. */
  release(slot: Slot): void {
    this.slots.release(slot);
  }

  /**
   * Compresses a block and gives its slot back in any case. A file is held as long as it is read, and
   * when its last byte was, it must still be what was planned.
   *
   * @returns the compressed bytes, in buffers of the caller's own
   */
  async compress(block: Block, format: BlockFormat): Promise<Uint8Array[]> {
    const { slot, length, content, source } = block;
    source?.file.hold();
    try {
      const place = source && { fd: source.file.fd, offset: source.offset };
      const job = { slot: slot.index, length, content, source: place, ...format };
      const compressed = requireCompressed(await this.run(job), source?.file);
      if (source && source.offset + length === source.file.size) source.file.requireUnchanged();
      return chunks(slot.bytes.subarray(0, compressed));
    } finally {
      source?.file.release();
      this.release(slot);
    }
  }

  /** What waits or runs fails; slots that are lent stay valid. Final; twice is fine. */
  close(): void {
    this.fail(new Failure("the compressor was closed"));
  }

  /**
   * Jobs are told ahead, as many as there are slots: a thread doesn't wait for its next until this one,
   * which hashes and sends, has time for it.
   */
  private async run(job: Job): Promise<Outcome> {
    if (this.failure) throw this.failure;
    return this.leastBusy().run(job);
  }

  private leastBusy(): CompressWorker {
    const [first, ...others] = this.workers.toSorted((a, b) => a.load - b.load);
    if (first && (first.load === 0 || others.length + 1 === this.threads)) return first;
    return this.start();
  }

  private start(): CompressWorker {
    const memory = this.all.map((slot) => slot.memory);
    const worker = new CompressWorker(this.workerUrl, memory, (error) => this.fail(error));
    this.workers.push(worker);
    return worker;
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.slots.fail(error);
    for (const worker of this.workers) worker.end(error);
  }
}

/** The number of compressed bytes. */
function requireCompressed(outcome: Outcome, file: PlannedFile | undefined): number {
  if ("compressed" in outcome) return outcome.compressed;
  if (file && "shortAt" in outcome) throw file.tooShort(outcome.shortAt);
  if (file && "unread" in outcome) {
    const { unread, code, errno } = outcome;
    throw file.failure(Object.assign(new Error(unread), { code, errno }));
  }
  throw new Failure(
    `compressing failed: ${"error" in outcome ? outcome.error : "nothing to read"}`,
  );
}

/** Copies: the slot is somebody else's next. */
function chunks(shared: Uint8Array): Uint8Array[] {
  const copies: Uint8Array[] = [];
  for (let at = 0; at < shared.length; at += LARGEST_PIECE) {
    const chunk = shared.subarray(at, at + LARGEST_PIECE);
    const copy = allocate(chunk.length);
    copy.set(chunk);
    copies.push(copy);
  }
  return copies;
}
