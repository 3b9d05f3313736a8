import { Failure } from "../../lib/errors.ts";
import { Thread } from "../../lib/thread.ts";
import type { Job, Outcome, Request } from "./messages.ts";

/** One thread that compresses. It keeps the process alive only while it has jobs. */
export class CompressWorker {
  private readonly thread: Thread<Request, Outcome>;
  /** In the order in which they are answered. */
  private readonly jobs: PromiseWithResolvers<Outcome>[] = [];
  private failure: Error | undefined;

  /** @param broken is told when the thread can't go on; its jobs then fail with that, too */
  constructor(
    url: URL | string,
    slots: readonly SharedArrayBuffer[],
    broken: (error: Error) => void,
  ) {
    this.thread = new Thread(
      url,
      (outcome) => this.settle(outcome),
      (why) => {
        const error = new Failure(`the compression worker failed: ${why}`);
        this.end(error);
        broken(error);
      },
    );
    this.thread.tell({ slots });
  }

  /** How many jobs it has that have not ended. */
  get load(): number {
    return this.jobs.length;
  }

  run(job: Job): Promise<Outcome> {
    if (this.failure) return Promise.reject(this.failure);
    const ended = Promise.withResolvers<Outcome>();
    this.jobs.push(ended);
    this.thread.ask(job);
    return ended.promise;
  }

  /** Ends the thread, whatever it does. Its jobs fail with the error. */
  end(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    for (const { reject } of this.jobs.splice(0)) reject(error);
    this.thread.end();
  }

  private settle(outcome: Outcome): void {
    this.thread.answered();
    this.jobs.shift()?.resolve(outcome);
  }
}
