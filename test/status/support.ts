import type { Log } from "../../src/lib/log.ts";
import { type DownloadClocks, Downloads } from "../../src/status/downloads.ts";
import { DEFAULT_HISTORY, type HistoryLimits } from "../../src/status/history.ts";
import { State } from "../../src/status/state.ts";

export const SUCCESS = { success: true, error_text: null, sha256_hex: "ab" };
export const FAILURE = { success: false, error_text: "why", sha256_hex: "" };

/** A log whose lines can be looked at. */
export function memoryLog(): Log & { readonly lines: string[] } {
  const lines: string[] = [];
  const line =
    (level: string): Log["info"] =>
    (message, fields = {}) => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  return { lines, info: line("info"), warn: line("warn"), error: line("error") };
}

export function openState(
  directory?: string,
  limits: HistoryLimits = DEFAULT_HISTORY,
  log: Log = memoryLog(),
): State {
  return State.open(directory, limits, log);
}

/** A machine whose clocks stand still unless they are moved. */
export class Clocks implements DownloadClocks {
  time = Date.parse("2026-11-22T15:58:36.999Z");
  passed = 0;
  readonly monotonic = () => this.passed;
  readonly wall = () => new Date(this.time);
  readonly age = () => new Date(this.time);

  pass(milliseconds: number): void {
    this.time += milliseconds;
    this.passed += milliseconds;
  }
}

export function makeDownloads(state = openState(), clocks: DownloadClocks = new Clocks()) {
  return new Downloads(state.history, clocks);
}
