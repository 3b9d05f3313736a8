import { parseDuration } from "../duration.ts";
import { errorText, UsageError } from "../errors.ts";
import { hideUser } from "../network/hide-user.ts";

/**
 * One flag of a command line, and how its text becomes a value. Both programs define their flags in
 * these terms; the parser, the help and the environment's defaults are derived from them.
 */
export interface Flag<T> {
  /** A boolean flag takes no value of its own (`--json`), only one behind `=` (`--json=false`). */
  readonly boolean: boolean;
  /** Whether it may be given several times; the values are then joined by commas. */
  readonly repeatable?: boolean;
  readonly description: string;
  /** What stands for the value in the help, such as `URL`. */
  readonly valueHint?: string | undefined;
  /** The environment variable that counts when the flag isn't given. Empty counts as unset. */
  readonly env?: string | undefined;
  /** As a person would type it. */
  readonly default?: string | undefined;
  readonly required?: boolean | undefined;
  /** Flags that can't be given beside this one. Over an environment variable, a flag simply wins. */
  readonly excludes?: readonly string[] | undefined;
  /** Undefined stands for a flag that has no value at all. Throws an Error that says what is wrong. */
  readonly parse: (text: string | undefined) => T;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** The values of a set of flags, under the flags' own names. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never;
};

interface Details {
  readonly description: string;
  readonly valueHint?: string;
  readonly env?: string;
  readonly excludes?: readonly string[];
}

/** A flag that may be left out; its value is then undefined. */
export function optional<T>(parse: (text: string) => T, details: Details): Flag<T | undefined> {
  return { ...details, boolean: false, parse: (t) => (t === undefined ? undefined : parse(t)) };
}

/** A flag that may be given several times, or once with commas between the values. */
export function list<T>(
  parse: (text: string) => T,
  details: Details,
): Flag<readonly T[] | undefined> {
  return {
    ...details,
    boolean: false,
    repeatable: true,
    parse: (t) => t?.split(",").map((item) => parse(item)),
  };
}

/** A flag that must be given, on the command line or in its environment variable. */
export function required<T>(parse: (text: string) => T, details: Details): Flag<T> {
  // Absence is refused before any value is parsed: the empty text never gets here.
  return { ...details, boolean: false, required: true, parse: (t) => parse(t ?? "") };
}

/** A flag with a default, written as a person would type it. */
export function defaulted<T>(
  parse: (text: string) => T,
  fallback: string,
  details: Details,
): Flag<T> {
  return { ...details, boolean: false, default: fallback, parse: (t) => parse(t ?? fallback) };
}

/** A boolean flag, false unless given. */
export function toggle(details: Omit<Details, "valueHint">): Flag<boolean> {
  return { ...details, boolean: true, parse: (t) => t !== undefined && goBoolean(t) };
}

/** A boolean flag that may be given as true or as false, and stands for something else when it isn't. */
export function choiceOfBoolean(details: Omit<Details, "valueHint">): Flag<boolean | undefined> {
  return { ...details, boolean: true, parse: (t) => (t === undefined ? undefined : goBoolean(t)) };
}

const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

/** A boolean in one of the spellings of Go's `strconv.ParseBool`. */
export function goBoolean(text: string): boolean {
  if (TRUE.includes(text)) return true;
  if (FALSE.includes(text)) return false;
  throw new Error(`parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Any text but an empty one. */
export function text(value: string): string {
  if (value === "") throw new Error("it is empty");
  return value;
}

/** One of a list of words. */
export function oneOf<const W extends string>(words: readonly W[]): (value: string) => W {
  return (value) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined)
      throw new Error(`${JSON.stringify(value)} is not one of ${words.join(", ")}`);
    return word;
  };
}

/** A whole number in decimal digits that is at least `minimum`, and at most `maximum` if there is one. */
export function wholeNumberFrom(
  minimum: number,
  maximum = Number.POSITIVE_INFINITY,
): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number))
      throw new Error(`${JSON.stringify(value)} is not a whole number`);
    if (number < minimum) throw new Error(`${value} is less than ${minimum}`);
    if (number > maximum) throw new Error(`${value} is more than ${maximum}`);
    return number;
  };
}

/** A duration in Go's form (`90s`, `1h30m`) that is at least `minimum` milliseconds. */
export function durationFrom(minimum: number): (value: string) => number {
  return (value) => {
    const milliseconds = parseDuration(value);
    if (milliseconds < minimum) {
      throw new Error(minimum > 0 ? `${value} is too short` : `${value} is negative`);
    }
    return milliseconds;
  };
}

const BYTE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes per second, at least 1: `500000`, or with a unit of 1024, 1024² or 1024³: `500K`, `1.5M`, `1G`. */
export function byteRate(value: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(value) ?? [];
  const rate = Math.floor(
    Number(digits || Number.NaN) * (BYTE_UNITS[unit.toUpperCase()] ?? Number.NaN),
  );
  if (!Number.isSafeInteger(rate)) {
    throw new Error(`${JSON.stringify(value)} is not a number of bytes such as 500K, 10M or 1G`);
  }
  if (rate < 1) throw new Error(`${value} is less than 1 byte a second`);
  return rate;
}

/**
 * The base URL of an HTTP server. An empty host (`http://:9090`) is this machine, as in Go. A path
 * is kept, and always ends in a slash, so that relative addresses resolve below it.
 */
export function httpUrl(value: string): URL {
  const local = value.replace(/^(https?:\/\/(?:[^@/]*@)?)(?=:\d)/i, "$1localhost");
  // What follows more slashes than two would be taken for the host.
  const url = /^https?:\/\/[^/]/i.test(local) && URL.canParse(local) ? new URL(local) : undefined;
  if (url === undefined) {
    throw new Error("it is not an http:// or https:// URL");
  }
  if (url.search !== "" || url.hash !== "") throw new Error("it has a query or a fragment");
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** A flag's value, or a usage error that names the flag or the environment variable it came from. */
export function flagValue<T>(
  name: string,
  flag: Flag<T>,
  given: string | undefined,
  env: Environment,
): T {
  const fromEnv = flag.env === undefined ? undefined : env[flag.env] || undefined;
  const value = given ?? fromEnv;
  if (value === undefined && flag.required) {
    throw new UsageError(`--${name}${flag.env ? ` (or ${flag.env})` : ""} is required`);
  }
  try {
    return flag.parse(value);
  } catch (cause) {
    const source = given === undefined && fromEnv !== undefined ? flag.env : `--${name}`;
    throw new UsageError(
      `invalid value ${JSON.stringify(hideUser(value ?? ""))} for ${source}: ${errorText(cause)}`,
      { cause },
    );
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;
