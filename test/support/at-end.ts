import { afterAll } from "bun:test";

const cleanups: (() => void | Promise<void>)[] = [];

/**
 * Has something cleaned up at the end of the test that calls this, or of the test file when it is
 * called outside of a test; last come, first cleaned up, so that a process is gone before its
 * directory. Not for use in beforeAll: Bun would clean up as soon as that returns.
 */
export function atEnd(cleanup: () => void | Promise<void>): void {
  cleanups.push(cleanup);
  // Bun runs the hooks of a file first come, first served, but those of a test the other way round.
  afterAll(() => cleanups.pop()?.());
}
