import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { startAutoprune } from "../../src/snapshots/autoprune.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Lets what follows a run happen: promises don't wait for a clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

async function pass(milliseconds: number): Promise<void> {
  jest.advanceTimersByTime(milliseconds);
  await settle();
}

function counted(random: () => number, interval = 10 * MINUTE) {
  const seen = { runs: 0, errors: [] as unknown[] };
  const autoprune = startAutoprune({
    interval,
    run: async () => {
      seen.runs++;
    },
    onError: (error) => seen.errors.push(error),
    random,
  });
  return { seen, autoprune };
}

test("runs first after a tenth of the interval, then every interval", async () => {
  const { seen, autoprune } = counted(() => 0.5);
  await pass(MINUTE - 1);
  expect(seen.runs).toBe(0);
  await pass(1);
  expect(seen.runs).toBe(1);
  await pass(10 * MINUTE - 1);
  expect(seen.runs).toBe(1);
  await pass(1);
  expect(seen.runs).toBe(2);
  autoprune.stop();
});

test.each([
  [0, 0.9],
  [0.999999, 1.1],
])("with %p by chance, the interval is %p of what is set", async (chance, factor) => {
  const { seen, autoprune } = counted(() => chance);
  await pass(Math.ceil(MINUTE * factor));
  expect(seen.runs).toBe(1);
  await pass(10 * MINUTE * factor - 100);
  expect(seen.runs).toBe(1);
  await pass(200);
  expect(seen.runs).toBe(2);
  autoprune.stop();
});

test("a failure is told, and the next run comes all the same", async () => {
  const errors: unknown[] = [];
  let runs = 0;
  const autoprune = startAutoprune({
    interval: 10 * MINUTE,
    run: () => Promise.reject(new Error(`run ${++runs}`)),
    onError: (error) => errors.push(error),
    random: () => 0.5,
  });
  await pass(MINUTE);
  await pass(10 * MINUTE);
  expect(errors).toEqual([new Error("run 1"), new Error("run 2")]);
  autoprune.stop();
});

test("runs never overlap: the interval begins at a run's end", async () => {
  let runs = 0;
  let finish = () => {};
  const autoprune = startAutoprune({
    interval: 10 * MINUTE,
    run: () => {
      runs++;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    },
    onError: () => {},
    random: () => 0.5,
  });
  await pass(MINUTE);
  await pass(60 * MINUTE);
  expect(runs).toBe(1);
  finish();
  await settle();
  await pass(10 * MINUTE);
  expect(runs).toBe(2);
  autoprune.stop();
});

test("stopped, it runs no more, not even after a run that was under way", async () => {
  const idle = counted(() => 0.5);
  idle.autoprune.stop();
  await pass(60 * MINUTE);
  expect(idle.seen.runs).toBe(0);

  let finish = () => {};
  let runs = 0;
  const busy = startAutoprune({
    interval: 10 * MINUTE,
    run: () => {
      runs++;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    },
    onError: () => {},
  });
  await pass(2 * MINUTE);
  busy.stop();
  finish();
  await settle();
  await pass(60 * MINUTE);
  expect(runs).toBe(1);
});

test("an interval of a year doesn't run at once", async () => {
  const { seen, autoprune } = counted(() => 0.5, 365 * DAY);
  await pass(36 * DAY);
  expect(seen.runs).toBe(0);
  await pass(DAY);
  expect(seen.runs).toBe(1);
  for (let month = 0; month < 12; month++) await pass(30 * DAY);
  expect(seen.runs).toBe(1);
  await pass(5 * DAY);
  expect(seen.runs).toBe(2);
  autoprune.stop();
});
