import { Failure } from "../../lib/errors.ts";
import { Thread } from "../../lib/thread.ts";
import type { BlockResult } from "../check-block.ts";
import type { CheckRequest, CheckResponse, CheckStep } from "./messages.ts";

/** One thread that checks blocks, as many as it is given. */
export class CheckThread {
  readonly #thread: Thread<CheckRequest, CheckResponse>;
  readonly #freed: (piece: number) => void;
  /** By the number of the check. */
  readonly #results = new Map<number, PromiseWithResolvers<BlockResult>>();
  readonly #asked = new Set<number>();
  #checks = 0;

  /**
   * @param freed is told which piece may be filled again
   * @param broken is told when the thread can't go on
   */
  constructor(
    url: URL | string,
    pieces: readonly SharedArrayBuffer[],
    freed: (piece: number) => void,
    broken: (error: Error) => void,
  ) {
    this.#freed = freed;
    this.#thread = new Thread(
      url,
      (response) => this.#settle(response),
      (why) => broken(new Failure(`the checking worker failed: ${why}`)),
    );
    this.#thread.tell({ pieces });
  }

  /** How many checks it has in hand. */
  get load(): number {
    return this.#results.size;
  }

  /** Begins a check. The promise is that of its result, and tells a failure as soon as there is one. */
  begin(step: CheckStep): { readonly id: number; readonly result: Promise<BlockResult> } {
    const id = ++this.#checks;
    const result = Promise.withResolvers<BlockResult>();
    // Whoever waits for it is told; one that is given up is nobody's.
    result.promise.catch(() => {});
    this.#results.set(id, result);
    this.tell(id, step);
    return { id, result: result.promise };
  }

  tell(check: number, step: CheckStep): void {
    this.#thread.tell({ check, ...step });
  }

  push(check: number, piece: number, length: number): void {
    this.#thread.ask({ check, step: "push", piece, length });
  }

  finish(check: number): void {
    if (!this.#results.has(check)) return;
    this.#asked.add(check);
    this.#thread.ask({ check, step: "finish" });
  }

  /** Gives a check up. */
  close(check: number): void {
    // Its result is on its way, and goes nowhere.
    if (this.#asked.has(check)) return;
    if (this.#results.delete(check)) this.tell(check, { step: "close" });
  }

  /** Ends the thread, whatever it does. Its checks fail with the error. */
  end(error: Error): void {
    for (const { reject } of this.#results.values()) reject(error);
    this.#results.clear();
    this.#thread.end();
  }

  #settle(response: CheckResponse): void {
    if ("piece" in response) {
      this.#thread.answered();
      this.#freed(response.piece);
      return;
    }
    const result = this.#results.get(response.check);
    this.#results.delete(response.check);
    if (this.#asked.delete(response.check)) this.#thread.answered();
    if ("error" in response) result?.reject(new Failure(response.error));
    else result?.resolve(response.result);
  }
}
