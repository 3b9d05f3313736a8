import { Failure } from "../../lib/errors.ts";
import type { Job, Outcome, Request, Response } from "./messages.ts";

/** One thread that compresses. It keeps the process alive only while it has a job. */
export class CompressWorker {
  private readonly worker: Worker;
  private readonly jobs = new Map<number, PromiseWithResolvers<Outcome>>();
  private failure: Error | undefined;

  /** @param broken is told when the thread can't go on; its jobs then fail with that, too */
  constructor(
    url: URL | string,
    slots: readonly SharedArrayBuffer[],
    private readonly broken: (error: Error) => void,
  ) {
    this.worker = new Worker(url, { ref: false });
    this.worker.onmessage = ({ data }: MessageEvent<Response>) => this.settle(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.break(event.message);
    };
    this.worker.onmessageerror = () => this.break("a message could not be read");
    this.worker.addEventListener("close", () => this.break("it ended unexpectedly"));
    this.post({ slots });
  }

  get jobCount(): number {
    return this.jobs.size;
  }

  run(job: Job): Promise<Outcome> {
    if (this.failure) return Promise.reject(this.failure);
    const result = Promise.withResolvers<Outcome>();
    if (this.jobs.size === 0) this.worker.ref();
    this.jobs.set(job.slot, result);
    this.post(job);
    return result.promise;
  }

  /** Ends the thread, whatever it does. Its jobs fail with the error. */
  end(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    for (const { reject } of this.jobs.values()) reject(error);
    this.jobs.clear();
    this.worker.terminate();
  }

  private post(request: Request): void {
    this.worker.postMessage(request);
  }

  private settle({ slot, outcome }: Response): void {
    const job = this.jobs.get(slot);
    this.jobs.delete(slot);
    if (this.jobs.size === 0) this.worker.unref();
    job?.resolve(outcome);
  }

  private break(why: string): void {
    if (this.failure) return;
    const error = new Failure(`the compression worker failed: ${why}`);
    this.end(error);
    this.broken(error);
  }
}
