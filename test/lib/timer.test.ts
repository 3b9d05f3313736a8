import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { startTimer } from "../../src/lib/timer.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const DAY = 24 * 60 * 60 * 1000;

test("runs once, after its time", () => {
  let runs = 0;
  startTimer(1000, () => runs++);
  jest.advanceTimersByTime(999);
  expect(runs).toBe(0);
  jest.advanceTimersByTime(1);
  expect(runs).toBe(1);
  jest.advanceTimersByTime(5000);
  expect(runs).toBe(1);
});

test("waits longer than setTimeout can", () => {
  let runs = 0;
  startTimer(100 * DAY, () => runs++);
  jest.advanceTimersByTime(24 * DAY);
  jest.advanceTimersByTime(24 * DAY);
  jest.advanceTimersByTime(40 * DAY);
  jest.advanceTimersByTime(11 * DAY);
  expect(runs).toBe(0);
  jest.advanceTimersByTime(DAY);
  expect(runs).toBe(1);
});

test("stopped, it never runs, whichever part of a long wait it is in", () => {
  let runs = 0;
  const timer = startTimer(60 * DAY, () => runs++);
  jest.advanceTimersByTime(30 * DAY);
  timer.stop();
  timer.stop();
  jest.advanceTimersByTime(49 * DAY);
  expect(runs).toBe(0);
});

test("doesn't keep the process alive", async () => {
  jest.useRealTimers();
  const module = Bun.resolveSync("../../src/lib/timer.ts", import.meta.dir);
  const code = `import { startTimer } from ${JSON.stringify(module)}; startTimer(3_600_000, () => {});`;
  const child = Bun.spawn([process.execPath, "-e", code]);
  expect(await child.exited).toBe(0);
});
