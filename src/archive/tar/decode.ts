import { DamagedError } from "../../lib/errors.ts";

/**
 * Pure functions that read a tar header block: POSIX ustar (IEEE Std 1003.1, `pax`, "ustar
 * Interchange Format"), GNU's variant of it, and the header of the seventh edition, which has no
 * magic and nothing that matters after the link's name. All of them throw a DamagedError without a position, which the reader adds.
 */

/** Tar works in blocks of this many bytes: headers are one, bodies are padded to a multiple. */
export const BLOCK_SIZE = 512;

export interface TarHeader {
  /** Not decoded: GNU tar cuts it within a character when a long-name record came before. */
  readonly name: Uint8Array;
  /** Bytes of the body, before padding. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** One character: `0` a file, `5` a directory, `x` a pax record, … NUL is told as `0`. */
  readonly typeflag: string;
}

const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  magic: [257, 8],
  devMajor: [329, 8],
  devMinor: [337, 8],
  prefix: [345, 155],
} as const;

const TYPEFLAG_AT = 156;
const SLASH = 0x2f;
const SPACE = 0x20;
const ZERO = 0x30;
const SEVEN = 0x37;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads one header block.
 *
 * @throws DamagedError if the checksum, the magic or a number in it is wrong.
 */
export function decodeHeader(block: Uint8Array): TarHeader {
  if (!hasValidChecksum(block)) throw new DamagedError("its checksum is wrong");
  const kind = headerKind(block);
  // These matter to nobody here, but a header with rubbish in them was not written by a tar.
  for (const field of ["mode", "uid", "gid"] as const) number(block, field);
  if (kind === "ustar") for (const field of ["devMajor", "devMinor"] as const) number(block, field);
  const size = number(block, "size");
  if (size < 0) throw new DamagedError("its size is negative");
  const typeflag = block[TYPEFLAG_AT] || ZERO;
  return {
    name: kind === "ustar" ? prefixedName(block) : untilNul(field(block, "name")),
    size,
    mtime: number(block, "mtime"),
    typeflag: String.fromCharCode(typeflag),
  };
}

/** Whether the block is a tar header by its checksum: the sum of its bytes, the field as spaces. */
export function hasValidChecksum(block: Uint8Array): boolean {
  if (block.length !== BLOCK_SIZE) return false;
  const [start, length] = FIELDS.checksum;
  let sum = SPACE * length;
  for (let i = 0; i < start; i++) sum += block[i] ?? 0;
  for (let i = start + length; i < BLOCK_SIZE; i++) sum += block[i] ?? 0;
  // An empty field is 0 to the number's decoder, but no header sums up to 0.
  return parseNumber(field(block, "checksum")) === sum;
}

export function isZeros(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/**
 * The text of a name.
 *
 * @throws DamagedError if it is empty, has a NUL in it, or isn't UTF-8.
 */
export function decodeName(bytes: Uint8Array): string {
  if (bytes.length === 0) throw new DamagedError("its name is empty");
  if (bytes.includes(0)) throw new DamagedError("its name has a NUL byte in it");
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new DamagedError("its name is not UTF-8", { cause });
  }
}

/** The name in the body of a GNU long-name record (`L`), which a NUL ends. */
export function decodeGnuName(body: Uint8Array): Uint8Array {
  return body.at(-1) === 0 ? body.subarray(0, -1) : body;
}

function headerKind(block: Uint8Array): "ustar" | "gnu" | "v7" {
  const magic = String.fromCharCode(...field(block, "magic"));
  if (magic === "ustar\x0000") return "ustar";
  if (magic === "ustar  \0") return "gnu";
  if (isZeros(field(block, "magic"))) return "v7";
  throw new DamagedError("its magic is none that a tar writes");
}

/** In GNU's variant other things stand where POSIX has the prefix. */
function prefixedName(block: Uint8Array): Uint8Array {
  const prefix = untilNul(field(block, "prefix"));
  const name = untilNul(field(block, "name"));
  if (prefix.length === 0) return name;
  const whole = new Uint8Array(prefix.length + 1 + name.length);
  whole.set(prefix);
  whole[prefix.length] = SLASH;
  whole.set(name, prefix.length + 1);
  return whole;
}

function field(block: Uint8Array, name: keyof typeof FIELDS): Uint8Array {
  const [start, length] = FIELDS[name];
  return block.subarray(start, start + length);
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function number(block: Uint8Array, name: keyof typeof FIELDS): number {
  const value = parseNumber(field(block, name));
  if (value === undefined) throw new DamagedError(`its ${name} is not a number that fits`);
  return value;
}

/** A numeric field, or undefined if it is none or beyond what a number can count exactly. */
function parseNumber(bytes: Uint8Array): number | undefined {
  return (bytes[0] ?? 0) & 0x80 ? parseBase256(bytes) : parseOctal(bytes);
}

/** Spaces, octal digits, then only spaces and NULs. Blank is 0, as in unused device numbers. */
function parseOctal(bytes: Uint8Array): number | undefined {
  let at = 0;
  while (bytes[at] === SPACE) at++;
  let value = 0;
  for (let digit = bytes[at]; digit !== undefined; digit = bytes[++at]) {
    if (digit < ZERO || digit > SEVEN) break;
    value = value * 8 + digit - ZERO;
  }
  for (; at < bytes.length; at++) if (bytes[at] !== SPACE && bytes[at] !== 0) return undefined;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** GNU's form for large and negative numbers: two's complement, the topmost bit is a mark. */
function parseBase256(bytes: Uint8Array): number | undefined {
  const first = bytes[0];
  if (first !== 0x80 && first !== 0xff) return undefined;
  let value = first === 0xff ? -1 : 0;
  for (let i = 1; i < bytes.length; i++) value = value * 256 + (bytes[i] ?? 0);
  return Number.isSafeInteger(value) ? value : undefined;
}
