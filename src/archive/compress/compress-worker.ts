import { Failure } from "../../lib/errors.ts";
import { Thread } from "../../lib/thread.ts";
import type { Job, Outcome, Request, Response } from "./messages.ts";

/** One thread that compresses. It keeps the process alive only while it has a job. */
export class CompressWorker {
  private readonly thread: Thread<Request, Response>;
  private readonly jobs = new Map<number, PromiseWithResolvers<Outcome>>();
  private failure: Error | undefined;

  /** @param broken is told when the thread can't go on; its jobs then fail with that, too */
  constructor(
    url: URL | string,
    slots: readonly SharedArrayBuffer[],
    broken: (error: Error) => void,
  ) {
    this.thread = new Thread(
      url,
      (response) => this.settle(response),
      (why) => {
        const error = new Failure(`the compression worker failed: ${why}`);
        this.end(error);
        broken(error);
      },
    );
    this.thread.tell({ slots });
  }

  get jobCount(): number {
    return this.jobs.size;
  }

  run(job: Job): Promise<Outcome> {
    if (this.failure) return Promise.reject(this.failure);
    const result = Promise.withResolvers<Outcome>();
    this.jobs.set(job.slot, result);
    this.thread.ask(job);
    return result.promise;
  }

  /** Ends the thread, whatever it does. Its jobs fail with the error. */
  end(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    for (const { reject } of this.jobs.values()) reject(error);
    this.jobs.clear();
    this.thread.end();
  }

  private settle({ slot, outcome }: Response): void {
    const job = this.jobs.get(slot);
    this.jobs.delete(slot);
    this.thread.answered();
    job?.resolve(outcome);
  }
}
