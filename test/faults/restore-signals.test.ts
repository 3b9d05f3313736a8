import { expect } from "bun:test";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { ARCHIVE, CAN_RESTORE, Place, tamper } from "./restore-try.ts";

const skip = !CAN_RESTORE || !needs("strace");

/** The call that a signal comes with, which of them, and what is the state then. */
type Moment = readonly [call: string, n: number, state: "old" | "new"];

// It takes a second for each, so one signal is tried at some of the moments, the other one at others.
const MOMENTS: Record<"SIGINT" | "SIGTERM", readonly Moment[]> = {
  SIGINT: [
    // It reads for the plan.
    ["read", 1, "old"],
    ["mkdir", 1, "old"],
    // The first file is whole, and synced.
    ["fsync", 3, "old"],
    // The last thing before the exchange.
    ["fsync", 11, "old"],
    ["renameat2", 1, "new"],
    // The mark of the new one goes.
    ["unlink", 1, "new"],
  ],
  SIGTERM: [
    // It reads what it extracts.
    ["read", 2, "old"],
    ["mkdir", 4, "old"],
    ["rename", 3, "old"],
    // The old one goes aside.
    ["rename", 4, "new"],
    ["fsync", 12, "new"],
    ["rmdir", 1, "new"],
  ],
};

for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  fault(
    `${signal} while a restore reads, makes, syncs, renames or removes something`,
    `before the exchange exit status ${status}, and all is as it was, nothing left; from there on 0, and all is in place`,
    async () => {
      for (const [call, n, state] of MOMENTS[signal]) {
        const place = new Place();
        const files = call === "read" ? [ARCHIVE] : [];
        const tampering = { call, how: `signal=${signal}`, when: String(n), files };
        const { done, ...finished } = await tamper(place, tampering);
        const told = state === "old" ? `prombackup: interrupted by ${signal}\n` : finished.stderr;
        expect({ call, n, done, state: place.state, ...finished }).toEqual({
          ...{ call, n, done: true, state },
          ...{ status: state === "old" ? status : 0, stderr: told },
        });
      }
    },
    { skip, timeout: 120_000 },
  );
}
