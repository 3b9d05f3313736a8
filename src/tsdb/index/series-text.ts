import type { Symbols } from "./symbols.ts";

/** A label set longer than this is cut in messages. */
const LONGEST_TEXT = 300;

/** A series the way queries name it, from the symbols of its names and values in turn. */
export function seriesText(labels: readonly number[], symbols: Symbols): string {
  let metric = "";
  const matchers: string[] = [];
  for (let i = 0; i + 1 < labels.length; i += 2) {
    const name = symbols.text(labels[i] ?? 0);
    const value = symbols.text(labels[i + 1] ?? 0);
    if (name === "__name__") metric = value;
    else matchers.push(`${name}=${JSON.stringify(value)}`);
  }
  const text = matchers.length > 0 ? `${metric}{${matchers.join(", ")}}` : metric;
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

/** Milliseconds as a date in UTC, or as the number if no date has it. */
export function timeText(time: number): string {
  // The range of Date, in milliseconds.
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : String(time);
}
