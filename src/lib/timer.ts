/** A timer that runs once, unless it is stopped before. */
export interface Timer {
  /** Twice is fine, and so is after it ran. */
  stop(): void;
}

/** setTimeout takes 31 bits of milliseconds, 24.8 days; beyond, it would run at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * Runs `callback` after so many milliseconds of the monotonic clock, whatever happens to the wall
 * clock meanwhile. It doesn't keep the process alive.
 *
 * @param milliseconds any length; 0 or less runs at the next turn of the event loop
 */
export function startTimer(milliseconds: number, callback: () => void): Timer {
  let timeout: ReturnType<typeof setTimeout>;
  function wait(rest: number): void {
    const step = Math.min(rest, LONGEST_TIMEOUT);
    timeout = setTimeout(() => (step < rest ? wait(rest - step) : callback()), step);
    timeout.unref();
  }
  wait(Math.max(0, milliseconds));
  return { stop: () => clearTimeout(timeout) };
}
