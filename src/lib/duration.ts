/**
 * Durations in Go's notation, as the flags, the query parameters and the configuration of the
 * Prometheus world write them: Go's `time.ParseDuration` and `time.Duration.String`.
 */

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n], // the micro sign
  ["\u03bcs", 1_000n], // the Greek letter mu
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);

/** One number with what stands up to the next number: its unit, if that is one. */
const COMPONENT = /([0-9]*)(?:\.([0-9]*))?([^.0-9]*)/y;

/** Go holds a duration in a signed 64-bit count of nanoseconds: 292 years at most. */
const LIMIT = 1n << 63n;

/**
 * Reads a duration as Go's `time.ParseDuration` does: a sign, then decimal numbers each with a unit
 * of `ns us µs ms s m h` (`1h30m`, `1.5h`, `-2m`), or `0`. Exact to the nanosecond like Go's, up to
 * the 53 bits of the result.
 *
 * @returns milliseconds, possibly with a fraction, possibly negative
 * @throws Error in Go's words: `time: invalid duration "abc"`, `time: missing unit in duration "5"`,
 *   `time: unknown unit "x" in duration "5x"`
 */
export function parseDuration(text: string): number {
  const negative = text.startsWith("-");
  const digits = negative || text.startsWith("+") ? text.slice(1) : text;
  if (digits === "0") return 0;
  if (digits === "") throw invalid(text);
  let total = 0n;
  for (let position = 0; position < digits.length; ) {
    COMPONENT.lastIndex = position;
    const [whole, integer = "", fraction = "", unit = ""] = COMPONENT.exec(digits) ?? [""];
    total += nanoseconds(text, integer, fraction, unit);
    if (total > LIMIT) throw invalid(text);
    position += whole.length;
  }
  if (!negative && total === LIMIT) throw invalid(text);
  // The quotient and the rest apart: as one number, 2⁶³ ns would lose its last digits too early.
  const milliseconds = Number(total / 1_000_000n) + Number(total % 1_000_000n) / 1e6;
  return negative && milliseconds !== 0 ? -milliseconds : milliseconds;
}

function nanoseconds(text: string, integer: string, fraction: string, unit: string): bigint {
  if (integer === "" && fraction === "") throw invalid(text);
  const significant = integer.replace(/^0+/, "");
  const count = BigInt(significant.slice(0, 20));
  if (significant.length > 19 || count > LIMIT) throw invalid(text);
  if (unit === "") throw new Error(`time: missing unit in duration ${quote(text)}`);
  const size = UNITS.get(unit);
  if (size === undefined) {
    throw new Error(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
  }
  const sum = count * size;
  return fraction === "" ? sum : sum + fractionOf(fraction, size);
}

/** Go takes as many digits as fit 63 bits, and multiplies in 64-bit floating point. */
function fractionOf(digits: string, size: bigint): bigint {
  const zeros = digits.length - digits.replace(/^0+/, "").length;
  let kept = digits.slice(0, zeros + 19);
  if (kept.length === zeros + 19 && BigInt(kept.slice(zeros)) > LIMIT) kept = kept.slice(0, -1);
  let scale = 1;
  // Step by step as Go does it: beyond 10²² a power at once is another number.
  for (let place = 0; place < kept.length; place++) scale *= 10;
  return BigInt(Math.trunc(Number(kept.slice(zeros)) * (Number(size) / scale)));
}

function invalid(text: string): Error {
  return new Error(`time: invalid duration ${quote(text)}`);
}

/** Quotes as Go's package time does: bytes that aren't printable ASCII as `\xNN`. */
function quote(text: string): string {
  let quoted = "";
  for (const byte of new TextEncoder().encode(text)) {
    const character = String.fromCharCode(byte);
    if (byte < 0x20 || byte >= 0x80) quoted += `\\x${byte.toString(16).padStart(2, "0")}`;
    else quoted += character === '"' || character === "\\" ? `\\${character}` : character;
  }
  return `"${quoted}"`;
}

/**
 * Writes a duration as Go's `time.Duration.String` does: `1h0m0s`, `1m1.5s`, `150ms`, `0s`.
 *
 * @param milliseconds finite; rounded to whole nanoseconds
 */
export function formatDuration(milliseconds: number): string {
  const whole = Math.trunc(milliseconds);
  const total = BigInt(whole) * 1_000_000n + BigInt(Math.round((milliseconds - whole) * 1e6));
  const sign = total < 0n ? "-" : "";
  const amount = total < 0n ? -total : total;
  if (amount === 0n) return "0s";
  if (amount < 1_000n) return `${sign}${amount}ns`;
  if (amount < 1_000_000n) return `${sign}${decimal(amount, 3)}\u00b5s`;
  if (amount < 1_000_000_000n) return `${sign}${decimal(amount, 6)}ms`;
  const minutes = amount / 60_000_000_000n;
  const seconds = `${decimal(amount % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return `${sign}${seconds}`;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `amount` / 10^`places` without trailing zeros. */
function decimal(amount: bigint, places: number): string {
  const digits = amount.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "");
  return digits.slice(0, -places) + (fraction === "" ? "" : `.${fraction}`);
}
