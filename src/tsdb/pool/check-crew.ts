import { Slots } from "../../lib/slots.ts";
import type { CheckLevel } from "../check-block.ts";
import type { RunningCheck, RunningFile } from "../checks.ts";
import { CheckThread } from "./check-thread.ts";
import { PIECE } from "./messages.ts";

/** Of each thread: 4 MiB that wait to be checked. */
const PIECES_PER_THREAD = 16;

/**
 * Threads that check blocks, and the shared memory in which the bytes come. All of it is given up as
 * soon as one thread breaks.
 */
export class CheckCrew {
  readonly #workerUrl: URL | string;
  readonly #size: number;
  readonly #memory: readonly SharedArrayBuffer[];
  readonly #pieces: readonly Uint8Array[];
  readonly #free: Slots<number>;
  readonly #threads: CheckThread[] = [];
  #failure: Error | undefined;

  /** Starts nothing: a thread is started when there is work for it. */
  constructor(workerUrl: URL | string, size: number) {
    this.#workerUrl = workerUrl;
    this.#size = size;
    const count = size * PIECES_PER_THREAD;
    this.#memory = Array.from({ length: count }, () => new SharedArrayBuffer(PIECE));
    this.#pieces = this.#memory.map((memory) => new Uint8Array(memory));
    this.#free = new Slots(this.#pieces.map((_, index) => index));
  }

  get broken(): boolean {
    return this.#failure !== undefined;
  }

  /** Throws a Failure if a thread broke. */
  begin(block: string, level: CheckLevel): RunningCheck {
    if (this.#failure) throw this.#failure;
    const thread = this.#idlest();
    const { id, result } = thread.begin({ step: "begin", block, level });
    const file: RunningFile = {
      push: (bytes) => this.#push(thread, id, bytes),
      end: () => thread.tell(id, { step: "end" }),
    };
    return {
      directory: (path) => thread.tell(id, { step: "directory", path }),
      open: (path, size) => {
        thread.tell(id, { step: "open", path, size });
        return file;
      },
      finish: () => {
        thread.finish(id);
        return result;
      },
      close: () => thread.close(id),
    };
  }

  /** What waits or runs fails. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#free.fail(error);
    for (const thread of this.#threads) thread.end(error);
  }

  /** Copies the bytes as memory gets free; that is given back by the thread, however slow others are. */
  async #push(thread: CheckThread, check: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const index = await this.#free.acquire();
      const part = bytes.subarray(at, at + PIECE);
      this.#pieces[index]?.set(part);
      thread.push(check, index, part.length);
    }
  }

  #idlest(): CheckThread {
    const [idlest] = this.#threads.toSorted((a, b) => a.load - b.load);
    if (idlest && (idlest.load === 0 || this.#threads.length >= this.#size)) return idlest;
    const thread = new CheckThread(
      this.#workerUrl,
      this.#memory,
      (piece) => this.#free.release(piece),
      (error) => this.fail(error),
    );
    this.#threads.push(thread);
    return thread;
  }
}
