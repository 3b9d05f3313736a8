/**
 * Tar headers as POSIX.1-2001 (pax, in pax(1) of IEEE Std 1003.1) has them: ustar, with extended
 * records where ustar cannot say it. Pure functions; nothing here reads a file.
 *
 * The owner is always uid and gid 0 without names, the mode 0755 for a directory and 0644 for a
 * file, so that the same snapshot gives the same bytes on every host.
 */

import { BLOCK_SIZE } from "./decode.ts";

/** Two blocks of zeros end an archive. Nothing pads it to a "record" of 10 KiB: no reader asks. */
export const TAR_END_SIZE = 2 * BLOCK_SIZE;

export interface TarHeader {
  /** "/"-joined, without a leading or trailing slash, not empty, without NUL. */
  readonly path: string;
  readonly type: "directory" | "file";
  /** Bytes of the body, a safe integer; 0 for a directory. */
  readonly size: number;
  /** Whole seconds since 1970, not negative. */
  readonly mtime: number;
}

const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
/** The largest number of eleven octal digits: 8 GiB less one byte, or a day in the year 2242. */
const MAX_OCTAL = 8 ** 11 - 1;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are ASCII, too.
const ASCII = /^[\x00-\x7f]*$/;
const utf8 = new TextEncoder();

/** The bytes in front of a body: one ustar block, after a pax member of two or more if needed. */
export function encodeTarHeader(header: TarHeader): Uint8Array {
  const path = utf8.encode(memberName(header));
  const block = ustarBlock(path, typeFlag(header), header);
  if (fitsUstar(header)) return block;
  const records = utf8.encode(paxRecords(header));
  const pax = ustarBlock(utf8.encode("PaxHeaders"), "x", {
    type: "file",
    size: records.length,
    mtime: Math.min(header.mtime, MAX_OCTAL),
  });
  const bytes = new Uint8Array(BLOCK_SIZE + padded(records.length) + BLOCK_SIZE);
  bytes.set(pax, 0);
  bytes.set(records, BLOCK_SIZE);
  bytes.set(block, bytes.length - BLOCK_SIZE);
  return bytes;
}

/** The number of bytes that {@link encodeTarHeader} makes, mostly without making them. */
export function tarHeaderSize(header: TarHeader): number {
  return fitsUstar(header) ? BLOCK_SIZE : encodeTarHeader(header).length;
}

/** `size` rounded up to whole blocks. */
export function padded(size: number): number {
  return Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}

function memberName(header: TarHeader): string {
  return header.type === "directory" ? `${header.path}/` : header.path;
}

function typeFlag(header: TarHeader): "0" | "5" {
  return header.type === "directory" ? "5" : "0";
}

/** Whether ustar's own fields say all of it: no name that is long or not ASCII, no large number. */
function fitsUstar(header: TarHeader): boolean {
  return pathFits(header) && header.size <= MAX_OCTAL && header.mtime <= MAX_OCTAL;
}

function pathFits(header: TarHeader): boolean {
  const name = memberName(header);
  if (!ASCII.test(name)) return false;
  return name.length <= NAME_BYTES || splitPath(utf8.encode(name)) !== undefined;
}

/** What the header in front of the header has to say. */
function paxRecords(header: TarHeader): string {
  let records = "";
  if (!pathFits(header)) records += paxRecord("path", memberName(header));
  if (header.size > MAX_OCTAL) records += paxRecord("size", String(header.size));
  if (header.mtime > MAX_OCTAL) records += paxRecord("mtime", String(header.mtime));
  return records;
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself too, so that its digits may push it up. */
function paxRecord(key: string, value: string): string {
  const rest = utf8.encode(` ${key}=${value}\n`).length;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

interface SplitPath {
  readonly prefix: Uint8Array;
  readonly name: Uint8Array;
}

/**
 * Divides a path between ustar's two fields (a reader joins them with a slash), or answers
 * undefined if it fits in no way. The first slash that leaves a short enough name is taken.
 */
function splitPath(path: Uint8Array): SplitPath | undefined {
  if (path.length <= NAME_BYTES) return { prefix: path.subarray(0, 0), name: path };
  const slash = path.indexOf(0x2f, path.length - NAME_BYTES - 1);
  // The slash that ends a directory's name would leave an empty name, and one in front is no split.
  if (slash <= 0 || slash > PREFIX_BYTES || slash === path.length - 1) return undefined;
  return { prefix: path.subarray(0, slash), name: path.subarray(slash + 1) };
}

function ustarBlock(
  path: Uint8Array,
  flag: "0" | "5" | "x",
  header: Omit<TarHeader, "path">,
): Uint8Array {
  const block = new Uint8Array(BLOCK_SIZE);
  // A path that fits nowhere is cut short here: the pax record in front has all of it.
  const { prefix, name } = splitPath(path) ?? { prefix: path.subarray(0, 0), name: path };
  block.set(name.subarray(0, NAME_BYTES), 0);
  putText(block, 100, header.type === "directory" ? "0000755" : "0000644");
  putText(block, 108, "0000000"); // uid
  putText(block, 116, "0000000"); // gid
  putNumber(block, 124, header.size);
  putNumber(block, 136, header.mtime);
  putText(block, 148, "        "); // the checksum counts itself as spaces
  putText(block, 156, flag);
  putText(block, 257, "ustar\x0000");
  putText(block, 329, "0000000"); // device major
  putText(block, 337, "0000000"); // device minor
  block.set(prefix, 345);
  let sum = 0;
  for (const byte of block) sum += byte;
  putText(block, 148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function putText(block: Uint8Array, offset: number, ascii: string): void {
  for (let i = 0; i < ascii.length; i++) block[offset + i] = ascii.charCodeAt(i);
}

/**
 * Eleven octal digits and a NUL or, for larger numbers, GNU's base-256: a set top bit and the
 * number in big-endian. Busybox reads only that one, the pax record is what the standard asks for.
 */
function putNumber(block: Uint8Array, offset: number, value: number): void {
  if (value <= MAX_OCTAL) {
    putText(block, offset, value.toString(8).padStart(11, "0"));
    return;
  }
  let rest = value;
  for (let i = offset + 11; i > offset; i--) {
    block[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  block[offset] = 0x80;
}
