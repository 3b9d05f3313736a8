import { setTimeout as pause } from "node:timers/promises";
import { formatDuration } from "../lib/duration.ts";
import { errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

export interface Retries {
  /** How often something is tried again. */
  readonly count: number;
  readonly log: Log;
  /** Ends a pause, too. */
  readonly signal: AbortSignal;
}

/**
 * Does something, and does it again after a failure that says of itself that this is safe and may
 * help. The pauses grow: 1 s, 2 s, 4 s, up to a minute, or as long as the server asks for.
 */
export async function withRetries<T>(retries: Retries, work: () => Promise<T>): Promise<T> {
  const { count, log, signal } = retries;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const asked = error instanceof Failure ? error.retryAfter : undefined;
      if (asked === undefined || attempt > count || signal.aborted) throw error;
      const growing = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS);
      const milliseconds = Math.max(growing, asked);
      const when = formatDuration(milliseconds);
      log.warn(`${errorText(error)}: trying again in ${when} (${attempt} of ${count})`);
      await pause(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}
