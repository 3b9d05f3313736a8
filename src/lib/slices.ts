import { setImmediate as nextTurn } from "node:timers/promises";

/** Milliseconds of synchronous work after which everybody else gets a turn. */
const SLICE = 3;

/**
 * For loops of many small synchronous steps (a look at a file takes microseconds synchronously, and
 * twenty times that through a thread): await the answer's result at each step, and the event loop
 * turns whenever a slice of 3 ms is over.
 */
export function slices(): () => Promise<void> | undefined {
  let end = performance.now() + SLICE;
  return () => {
    if (performance.now() < end) return undefined;
    return nextTurn().then(() => {
      end = performance.now() + SLICE;
    });
  };
}
