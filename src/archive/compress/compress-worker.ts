import { Failure } from "../../lib/errors.ts";
import { Thread } from "../../lib/thread.ts";
import type { Job, Outcome, Request } from "./messages.ts";

/** One thread that compresses. It keeps the process alive only while it has a job. */
export class CompressWorker {
  private readonly thread: Thread<Request, Outcome>;
  private job: PromiseWithResolvers<Outcome> | undefined;
  private failure: Error | undefined;

  /** @param broken is told when the thread can't go on; its job then fails with that, too */
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

  /** One job at a time. */
  run(job: Job): Promise<Outcome> {
    if (this.failure) return Promise.reject(this.failure);
    this.job = Promise.withResolvers<Outcome>();
    this.thread.ask(job);
    return this.job.promise;
  }

  /** Ends the thread, whatever it does. Its job fails with the error. */
  end(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    this.job?.reject(error);
    this.thread.end();
  }

  private settle(outcome: Outcome): void {
    this.thread.answered();
    this.job?.resolve(outcome);
  }
}
