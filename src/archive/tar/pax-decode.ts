import { DamagedError } from "../../lib/errors.ts";

/** What a pax extended header says about a member, as far as anything here reads it. */
export interface PaxRecords {
  readonly path?: Uint8Array;
  /** Bytes of the body. */
  readonly size?: number;
  /** Whole seconds since the epoch. */
  readonly mtime?: number;
}

/** The length of a record comes first; its digits alone are never longer than this. */
const LENGTH_DIGITS = 8;
const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;

/**
 * Reads the body of a pax record (type `x` or `g`): lines of `LENGTH KEY=VALUE\n`, the length
 * counting the whole line (IEEE Std 1003.1, `pax`, "pax Extended Header"). Of two equal keys the
 * last one counts, an empty value takes a key back. Keys that nothing here needs are passed over.
 *
 * @throws DamagedError if it is malformed, or says that the member is a sparse file in GNU's form,
 *   the body of which isn't the file's content.
 */
export function decodePax(body: Uint8Array): PaxRecords {
  const records: { path?: Uint8Array; size?: number; mtime?: number } = {};
  for (let at = 0; at < body.length; ) {
    const line = nextLine(body, at);
    at += line.length;
    const { key, value } = keyAndValue(line);
    if (key.startsWith("GNU.sparse.")) throw sparse();
    if (key !== "path" && key !== "size" && key !== "mtime") continue;
    if (value.length === 0) delete records[key];
    else if (key === "path") records.path = value;
    else if (key === "size") records.size = size(value);
    else records.mtime = seconds(value);
  }
  return records;
}

/** Of GNU's sparse files, in any of its forms. */
export function sparse(): DamagedError {
  return new DamagedError(
    "it is a sparse file in GNU's own form, which is not read here: pack without --sparse, and with bsdtar's --no-read-sparse",
  );
}

function nextLine(body: Uint8Array, at: number): Uint8Array {
  const space = body.subarray(at, at + LENGTH_DIGITS + 1).indexOf(SPACE);
  const digits = latin1(body.subarray(at, at + Math.max(space, 0)));
  if (!/^[1-9]\d*$/.test(digits)) throw new DamagedError("a pax record has no length");
  const line = body.subarray(at, at + Number(digits));
  if (line.length !== Number(digits) || line.at(-1) !== NEWLINE) {
    throw new DamagedError("a pax record doesn't end where its length says");
  }
  return line;
}

function keyAndValue(line: Uint8Array): { key: string; value: Uint8Array } {
  const start = line.indexOf(SPACE) + 1;
  const equals = line.indexOf(EQUALS, start);
  if (equals <= start) throw new DamagedError("a pax record has no key");
  return { key: latin1(line.subarray(start, equals)), value: line.subarray(equals + 1, -1) };
}

function size(value: Uint8Array): number {
  const text = latin1(value);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw new DamagedError("its pax size is not a number that fits");
  }
  return Number(text);
}

/** Rounded down. As text, since a float rounds nanoseconds up to the next second. */
function seconds(value: Uint8Array): number {
  const [, whole = "", fraction = ""] = /^(-?\d+)(?:\.(\d*))?$/.exec(latin1(value)) ?? [];
  if (whole === "" || !Number.isSafeInteger(Number(whole))) {
    throw new DamagedError("its pax mtime is not a time that fits");
  }
  return Number(whole) - (whole.startsWith("-") && /[1-9]/.test(fraction) ? 1 : 0);
}

/** Keys and numbers are ASCII; a record's other bytes only need to be told apart. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
