import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { decompress } from "../../src/archive/decompress/decompress.ts";
import { inspectArchive, type SnapshotReport } from "../../src/archive/inspect/inspect.ts";
import { readTar } from "../../src/archive/tar/reader.ts";
import { DamagedError } from "../../src/lib/errors.ts";

export const SNAPSHOT = "20261122T155836Z-16a76bfa17aabbcc";
export const ULID = "01M8204A0SY5ACHASGKYRYK1T9";
const TINY_BLOCK = join(import.meta.dir, "../data/tiny-block");

/** Puts a snapshot of one real block below `root`, and answers its path. */
export function makeSnapshot(root: string): string {
  const snapshot = join(root, SNAPSHOT);
  mkdirSync(snapshot);
  cpSync(TINY_BLOCK, join(snapshot, ULID), { recursive: true });
  return snapshot;
}

/** Runs a command and answers what it wrote, as bytes. */
export function output(
  command: string[],
  options: { cwd?: string; input?: Uint8Array } = {},
): Uint8Array<ArrayBuffer> {
  const child = Bun.spawnSync(command, {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    stdin: options.input ?? "ignore",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (!child.success) throw new Error(`${command.join(" ")}: ${child.stderr.toString()}`);
  return new Uint8Array(child.stdout);
}

/** The bytes in pieces of a size, each good until the next is asked for: then it is spoilt. */
export async function* pieces(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    const piece = new Uint8Array(bytes.subarray(at, at + size));
    yield piece;
    piece.fill(0xa5);
  }
}

export async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const all: Uint8Array[] = [];
  for await (const piece of bytes) all.push(new Uint8Array(piece));
  return new Uint8Array(Buffer.concat(all));
}

/** What `verify` does: from the bytes of an archive to the report. */
export async function inspect(archive: Uint8Array, size?: number): Promise<SnapshotReport> {
  const { bytes } = await decompress(pieces(archive, size));
  return inspectArchive(readTar(bytes));
}

/** The message of the DamagedError that a promise must fail with. */
export async function damage(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DamagedError) return error.message;
    throw new Error("failed with something other than a DamagedError", { cause: error });
  }
  throw new Error("was taken for sound");
}

/** "sound" or the message of the DamagedError. Anything else is thrown on. */
export async function verdict(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "sound";
  } catch (error) {
    if (error instanceof DamagedError) return error.message;
    throw error;
  }
}

/** A copy with one bit turned. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

/** Numbers that look random but are the same in each run: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const text = new TextEncoder();

/** Fields of a header, over those of an empty file. Numbers are written in octal. */
export interface HeaderFields {
  readonly name?: string | Uint8Array;
  readonly size?: number | string | Uint8Array;
  readonly mtime?: number | string | Uint8Array;
  readonly typeflag?: string;
  readonly magic?: string;
  readonly prefix?: string;
  readonly uid?: string | Uint8Array;
  readonly gid?: string;
  readonly devMajor?: string;
}

/** A header block made by hand, right or wrong as the test wants it, with a right checksum. */
export function header(fields: HeaderFields = {}): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(512);
  const put = (at: number, value: string | Uint8Array) =>
    block.set(typeof value === "string" ? text.encode(value) : value, at);
  const octal = (value: number | string | Uint8Array) =>
    typeof value === "number" ? value.toString(8).padStart(11, "0") : value;
  put(0, fields.name ?? "a");
  put(100, "0000644");
  put(108, fields.uid ?? "0000000");
  put(116, fields.gid ?? "0000000");
  put(124, octal(fields.size ?? 0));
  put(136, octal(fields.mtime ?? 0));
  put(156, fields.typeflag ?? "0");
  put(257, fields.magic ?? "ustar\x0000");
  put(329, fields.devMajor ?? "");
  put(345, fields.prefix ?? "");
  return checksummed(block);
}

/** The block with the checksum that fits the rest of it. */
export function checksummed(block: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.set(text.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

/** The end of an archive: two zero blocks. */
export const END = new Uint8Array(1024);

/** A body, padded to whole blocks. */
export function padded(body: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof body === "string" ? text.encode(body) : body;
  const blocks = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
  blocks.set(bytes);
  return blocks;
}

/** A record (`x`, `g`, `L`, `K`): its header and its body. */
export function record(typeflag: string, body: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const size = typeof body === "string" ? text.encode(body).length : body.length;
  return joined(header({ name: "record", typeflag, size }), padded(body));
}

/** One line of a pax record, its length found by trial as each writer has to. */
export function paxLine(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = text.encode(rest).length;
  let length = bytes + String(bytes).length;
  if (bytes + String(length).length > length) length++;
  return length + rest;
}

export function joined(...parts: (Uint8Array | string)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));
}
