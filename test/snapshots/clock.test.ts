import { expect, test } from "bun:test";
import { PruneClock } from "../../src/snapshots/clock.ts";
import { planPrune } from "../../src/snapshots/prune.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse("2026-06-15T12:00:00Z");

/** A machine whose wall clock can be set. */
class Machine {
  wall = START;
  boot = 5 * HOUR;
  readonly clock = new PruneClock({ wall: () => this.wall, boot: () => this.boot });

  pass(milliseconds: number): void {
    this.wall += milliseconds;
    this.boot += milliseconds;
  }

  now(keepWithin = HOUR): number {
    return this.clock.now(keepWithin).getTime();
  }
}

test("an undisturbed clock is believed", () => {
  const machine = new Machine();
  for (let hour = 0; hour < 100; hour++) {
    machine.pass(HOUR);
    // What NTP does to it within an hour.
    machine.wall += hour % 2 === 0 ? 900 : -1100;
    expect(machine.now()).toBe(machine.wall);
  }
});

test("a jump ahead is believed once it is as old as snapshots are kept", () => {
  const machine = new Machine();
  machine.pass(10 * MINUTE);
  machine.now();
  const rightTime = machine.wall;
  machine.wall += 2 * DAY;
  expect(machine.now()).toBe(rightTime);
  machine.pass(HOUR - 1);
  expect(machine.now()).toBe(rightTime + HOUR - 1);
  machine.pass(1);
  expect(machine.now()).toBe(machine.wall);
  machine.pass(DAY);
  expect(machine.now()).toBe(machine.wall);
});

test("who keeps nothing is not told to wait", () => {
  const machine = new Machine();
  machine.wall += 2 * DAY;
  expect(machine.now(0)).toBe(machine.wall);
  expect(machine.now(HOUR)).toBe(machine.wall - 2 * DAY);
});

test("a jump back is believed at once, and so is the way back from a jump ahead", () => {
  const machine = new Machine();
  machine.wall -= 2 * DAY;
  expect(machine.now()).toBe(machine.wall);
  machine.wall += 4 * DAY;
  expect(machine.now()).toBe(machine.wall - 4 * DAY);
  machine.wall -= 4 * DAY;
  expect(machine.now()).toBe(machine.wall);
});

test("a second jump ahead begins the wait anew", () => {
  const machine = new Machine();
  machine.wall += DAY;
  machine.now();
  machine.pass(50 * MINUTE);
  machine.wall += DAY;
  machine.now();
  machine.pass(50 * MINUTE);
  expect(machine.now()).toBe(machine.wall - 2 * DAY);
  machine.pass(10 * MINUTE);
  expect(machine.now()).toBe(machine.wall);
});

test("the system's clocks are read by default", () => {
  const before = Date.now();
  const now = new PruneClock().now(HOUR).getTime();
  // The time since boot has whole seconds only, which doesn't show in the result.
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now());
});

test("after any jump, nothing younger than the limit is planned for removal", () => {
  for (const jump of [-400 * DAY, -DAY, -HOUR, HOUR, 3 * HOUR, 30 * DAY, 400 * DAY]) {
    const machine = new Machine();
    const taken: { name: string; boot: number }[] = [];
    for (let step = 0; step < 40; step++) {
      if (step === 12) machine.wall += jump;
      machine.pass(10 * MINUTE);
      const stamp = new Date(machine.wall).toISOString().slice(0, 19).replace(/[-:]/g, "");
      taken.push({ name: `${stamp}Z-${step}`, boot: machine.boot });
      const entries = taken.map(({ name }) => ({ name, isDirectory: true }));
      const { remove } = planPrune(entries, { keepWithin: HOUR, now: machine.clock.now(HOUR) });
      for (const { name } of remove) {
        const { boot = 0 } = taken.find((snapshot) => snapshot.name === name) ?? {};
        expect(machine.boot - boot).toBeGreaterThanOrEqual(HOUR - 1000);
      }
    }
  }
});
