import { DamagedError, Failure } from "../../lib/errors.ts";

/** What can speak against a restore. */
export type Guard =
  | "running"
  | "not-empty"
  | "not-data"
  | "archive-there"
  | "owner"
  | "no-blocks"
  | "unknown-block"
  | "block-there"
  | "unknown-files"
  | "damaged"
  | "future"
  | "retention"
  | "overlap"
  | "version"
  | "space";

/** Why a restore isn't done. */
export interface Refusal {
  readonly guard: Guard;
  /** The thing, the cause and the remedy. */
  readonly message: string;
}

/** Collects what guards have to say: all of it at once, so that nobody finds it out one by one. */
export class Verdict {
  readonly refusals: Refusal[] = [];
  readonly warnings: string[] = [];

  refuse(guard: Guard, message: string): void {
    this.refusals.push({ guard, message });
  }

  warn(message: string): void {
    this.warnings.push(message);
  }
}

/**
 * @throws Failure for the first refusal, a DamagedError if it is about damage; the plan has all of them
 */
export function requireNone(refusals: readonly Refusal[]): void {
  const [first, ...more] = refusals;
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.length} more, see the plan)`;
  const message = `refused: ${first.message}${others}`;
  throw first.guard === "damaged" ? new DamagedError(message) : new Failure(message);
}
