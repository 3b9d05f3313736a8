import type { Symbols } from "./symbols.ts";

/** A label set longer than this is cut in messages. */
const LONGEST_TEXT = 300;

/** Names that stand without quotes: all, until Prometheus 3 allowed any. */
const PLAIN_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** A series the way queries name it, from the symbols of its names and values in turn. */
export function seriesText(
  labels: { readonly length: number; at(index: number): number | undefined },
  symbols: Symbols,
): string {
  let metric = "";
  const matchers: string[] = [];
  for (let i = 0; i + 1 < labels.length; i += 2) {
    const name = symbols.text(labels.at(i) ?? 0);
    const value = symbols.text(labels.at(i + 1) ?? 0);
    if (name !== "__name__") matchers.push(`${quoted(name)}=${JSON.stringify(value)}`);
    else if (PLAIN_NAME.test(value)) metric = value;
    else matchers.push(JSON.stringify(value));
  }
  const text = matchers.length > 0 ? `${metric}{${matchers.join(", ")}}` : metric;
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

function quoted(name: string): string {
  return PLAIN_NAME.test(name) ? name : JSON.stringify(name);
}

/** Milliseconds as a date in UTC, or as the number if no date has it. */
export function timeText(time: number): string {
  // The range of Date, in milliseconds.
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : String(time);
}
