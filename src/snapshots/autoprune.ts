import { startTimer, type Timer } from "../lib/timer.ts";

export interface AutopruneOptions {
  /** Milliseconds between the end of a run and the next, give or take a tenth. */
  readonly interval: number;
  readonly run: () => Promise<void>;
  /** Gets what a run threw; the next run comes all the same. */
  readonly onError: (error: unknown) => void;
  /** As Math.random. */
  readonly random?: () => number;
}

/**
 * Runs a job every interval, the first time after a tenth of it. The tenth of chance keeps the
 * servers of many machines from working at the same moment. Runs never overlap. The process isn't
 * kept alive for them.
 *
 * @returns what stops it: no run begins afterwards, one under way ends by itself
 */
export function startAutoprune(options: AutopruneOptions): { stop(): void } {
  const { interval, run, onError, random = Math.random } = options;
  let stopped = false;
  let timer: Timer;
  function schedule(milliseconds: number): void {
    if (stopped) return;
    timer = startTimer(milliseconds * (0.9 + 0.2 * random()), () => {
      runOnce().finally(() => schedule(interval));
    });
  }
  async function runOnce(): Promise<void> {
    try {
      await run();
    } catch (error) {
      onError(error);
    }
  }
  schedule(interval / 10);
  return {
    stop() {
      stopped = true;
      timer.stop();
    },
  };
}
