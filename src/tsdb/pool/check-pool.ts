import { Failure } from "../../lib/errors.ts";
import type { CheckLevel } from "../check-block.ts";
import type { BlockChecks } from "../checks.ts";
import { CheckCrew } from "./check-crew.ts";

/** One stream feeds no more than these, and each takes some 30 MB. */
const MOST_THREADS = 8;

/**
 * Checks blocks on threads of its own, all of one process together: a block's bytes go to one of them,
 * through shared memory of 4 MiB a thread. It costs nothing until the first block, and keeps the
 * process alive only while there is something to check.
 *
 * A stream that stalls holds up no other: it holds no memory that the others wait for.
 */
export class CheckPool {
  readonly #workerUrl: URL | string;
  readonly #threads: number;
  #crew: CheckCrew | undefined;
  #closed = false;

  /**
   * @param workerUrl of worker.ts. The entries name it, because in a compiled program only they stand
   *   where a relative URL leads to it.
   * @param threads at least 1; of more than 8, 8 are used
   */
  constructor(workerUrl: URL | string, threads: number) {
    this.#workerUrl = workerUrl;
    this.#threads = Math.min(threads, MOST_THREADS);
  }

  /** Checks of that level. If a thread breaks, those that run fail with it; the next start anew. */
  checks(level: CheckLevel): BlockChecks {
    return { atOnce: this.#threads, begin: (block) => this.#ready().begin(block, level) };
  }

  /** Ends the threads; what still runs fails. Final; twice is fine. */
  close(): void {
    this.#closed = true;
    this.#crew?.fail(new Failure("the check was closed"));
  }

  #ready(): CheckCrew {
    if (this.#crew === undefined || (this.#crew.broken && !this.#closed)) {
      this.#crew = new CheckCrew(this.#workerUrl, this.#threads);
    }
    return this.#crew;
  }
}
