import { uptime } from "node:os";

/** Milliseconds of disagreement that pass for the daily work of NTP. */
const TOLERANCE = 60_000;

/**
 * The time to judge the age of snapshots by. A wall clock that jumps ahead makes young snapshots look
 * old, so prune would remove what it is told to keep; one that jumps back is harmless, since
 * snapshots dated in the future are kept.
 *
 * The wall clock is watched against the time since the machine's boot, which no one sets (and which
 * counts the time that the machine sleeps). After a jump ahead the old reckoning goes on until the
 * jump is as old as snapshots are to be kept: whatever was there at the jump is old enough then, by
 * any clock. A jump before the process began can't be seen.
 */
export class PruneClock {
  readonly #wall: () => number;
  readonly #boot: () => number;
  /** Wall clock less time since boot, in ms, before the jump that is waited for. */
  #offset: number;
  #jump: { offset: number; readonly seenAt: number } | undefined;

  /** @param clocks both in milliseconds; the system's own if left out */
  constructor(
    clocks: { readonly wall: () => number; readonly boot: () => number } = SYSTEM_CLOCKS,
  ) {
    this.#wall = clocks.wall;
    this.#boot = clocks.boot;
    this.#offset = this.#wall() - this.#boot();
  }

  /**
   * Now, as far as it is safe to believe. The more often it is asked, the sooner a jump is seen.
   *
   * @param keepWithin milliseconds that snapshots are to be kept; with 0 the wall clock is right
   */
  now(keepWithin: number): Date {
    const boot = this.#boot();
    const offset = this.#wall() - boot;
    if (offset <= this.#offset + TOLERANCE) {
      this.#offset = offset;
      this.#jump = undefined;
      return new Date(boot + offset);
    }
    const jump = this.#jump;
    if (jump === undefined || offset > jump.offset + TOLERANCE) {
      this.#jump = { offset, seenAt: boot };
    } else {
      jump.offset = offset;
    }
    const age = boot - (this.#jump?.seenAt ?? boot);
    return new Date(boot + (age >= keepWithin ? offset : this.#offset));
  }
}

const SYSTEM_CLOCKS = { wall: () => Date.now(), boot: () => uptime() * 1000 };
