import { setTimeout as sleep } from "node:timers/promises";

/** What goes at once takes so long at most, so that a slow rate is even. */
const SLICE_MS = 100;

/** So much time that was lost is made up for: timers fire late. */
const CATCH_UP_MS = 250;

/**
 * A bound on the bytes per second of all the streams that it paces, together: exact but for the first
 * quarter of a second. They take turns.
 */
export class RateLimit {
  /** When all that was let through has had its time. */
  private due = 0;

  /** @param rate bytes per second, at least 1 */
  constructor(private readonly rate: number) {}

  /** The same bytes as they come, no sooner than the rate allows; large chunks are cut. */
  async *pace(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const most = Math.ceil((this.rate * SLICE_MS) / 1000);
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += most) {
        // Copied, since the memory of each is its consumer's.
        const part = chunk.length <= most ? chunk : chunk.slice(at, at + most);
        await this.turn(part.length);
        yield part;
      }
    }
  }

  private turn(bytes: number): Promise<void> | undefined {
    const now = performance.now();
    const from = Math.max(this.due, now - CATCH_UP_MS);
    this.due = from + (bytes * 1000) / this.rate;
    return from > now ? sleep(from - now) : undefined;
  }
}
