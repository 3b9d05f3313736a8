import { Failure } from "../../lib/errors.ts";
import type { GzipRequest, GzipResponse } from "./gzip-messages.ts";

type Job = Extract<GzipRequest, { block: number }>;

/** One thread that compresses. It keeps the process alive only while it has a job. */
export class GzipWorker {
  private readonly worker: Worker;
  private readonly jobs = new Map<number, PromiseWithResolvers<number>>();
  private failure: Error | undefined;

  /** @param broken is told when the thread can't go on; its jobs then fail with that, too */
  constructor(
    url: URL | string,
    blocks: readonly SharedArrayBuffer[],
    private readonly broken: (error: Error) => void,
  ) {
    this.worker = new Worker(url, { ref: false });
    this.worker.onmessage = ({ data }: MessageEvent<GzipResponse>) => this.settle(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.break(event.message);
    };
    this.worker.onmessageerror = () => this.break("a message could not be read");
    this.worker.addEventListener("close", () => this.break("it ended unexpectedly"));
    this.post({ blocks });
  }

  get jobCount(): number {
    return this.jobs.size;
  }

  /** @returns the length of what the block then holds */
  run(job: Job): Promise<number> {
    if (this.failure) return Promise.reject(this.failure);
    const result = Promise.withResolvers<number>();
    if (this.jobs.size === 0) this.worker.ref();
    this.jobs.set(job.block, result);
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

  private post(request: GzipRequest): void {
    this.worker.postMessage(request);
  }

  private settle(response: GzipResponse): void {
    const job = this.jobs.get(response.block);
    this.jobs.delete(response.block);
    if (this.jobs.size === 0) this.worker.unref();
    if ("error" in response) job?.reject(new Failure(`compressing failed: ${response.error}`));
    else job?.resolve(response.length);
  }

  private break(why: string): void {
    if (this.failure) return;
    const error = new Failure(`the compression worker failed: ${why}`);
    this.end(error);
    this.broken(error);
  }
}
