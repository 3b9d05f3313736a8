import { startTimer, type Timer } from "../timer.ts";

/** Gives up what has been silent for too long. Only waiting counts, not what is done with what came. */
export class Silence {
  private readonly aborter = new AbortController();
  /** Fires when it has been silent for too long, or with the signal that was handed in. */
  readonly signal: AbortSignal;
  private timer: Timer | undefined;

  /**
   * @param limit milliseconds
   * @param reason what is thrown then
   */
  constructor(
    private readonly limit: number,
    outer: AbortSignal,
    private readonly reason: Error,
  ) {
    this.signal = AbortSignal.any([outer, this.aborter.signal]);
  }

  /** Waits for something that `signal` ends. */
  async bounded<T>(wait: Promise<T>): Promise<T> {
    this.timer = startTimer(this.limit, () => this.aborter.abort(this.reason));
    try {
      return await wait;
    } catch (error) {
      // What is thrown on an abort isn't always the signal's own reason.
      throw this.aborter.signal.aborted ? this.reason : error;
    } finally {
      this.timer.stop();
    }
  }

  /** The pieces of a body, each of them bounded. */
  async *pieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.bounded(iterator.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
}
