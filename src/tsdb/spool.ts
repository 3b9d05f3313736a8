import { randomUUID } from "node:crypto";
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorText, Failure } from "../lib/errors.ts";

/** A file larger than this goes to a temporary file instead of memory. */
const MEMORY_LIMIT = 64 * 1024 * 1024;

const FIRST_CAPACITY = 64 * 1024;

/**
 * What the last spool left: the next one takes it. Memory that is new costs more than the copy into
 * it, as the system hands it out page by page; and old memory waits for the garbage collector.
 */
let spare: Uint8Array = new Uint8Array(0);

/** More is not kept: each thread has a spare of its own, for as long as the process lives. */
const LARGEST_SPARE = 16 * 1024 * 1024;
const READ_AHEAD = 1024 * 1024;

/**
 * Keeps a file that arrives as a stream, so that it can be read in any order once it is complete
 * (an index is read from its end): in memory up to a limit, in a temporary file above it. That file
 * has no name from its first moment on, so nothing is left behind whatever happens.
 */
export class Spool {
  size = 0;
  readonly #limit: number;
  #memory: Uint8Array = new Uint8Array(0);
  #file: number | undefined;
  /** The bytes of the temporary file from `#windowAt` on that were read last. */
  #window: Uint8Array = new Uint8Array(0);
  #windowAt = 0;
  #buffer: Uint8Array = new Uint8Array(0);

  /** @param expected bytes, if they are known: as many are set aside at once, up to the limit */
  constructor(expected = 0, limit = MEMORY_LIMIT) {
    this.#limit = limit;
    if (expected > 0 && expected <= limit) this.#reserve(expected);
  }

  /**
   * Appends a copy of the bytes.
   *
   * @throws Failure if the temporary file can't be written.
   */
  push(bytes: Uint8Array): void {
    if (this.#file === undefined && this.size + bytes.length > this.#limit) {
      this.#file = openUnnamed();
      this.#write(this.#file, this.#memory.subarray(0, this.size));
      this.#release();
    }
    if (this.#file !== undefined) this.#write(this.#file, bytes);
    else this.#remember(bytes);
    this.size += bytes.length;
  }

  /** Says that the file is complete. */
  end(): void {}

  /**
   * The bytes `[start, end)`, which lie inside the file: a view that is good until the next call.
   * Reads ahead, so that going through a file by small items costs no system call for each.
   */
  read(start: number, end: number): Uint8Array {
    if (this.#file === undefined) return this.#memory.subarray(start, end);
    const at = start - this.#windowAt;
    if (at >= 0 && at + end - start <= this.#window.length) {
      return this.#window.subarray(at, at + end - start);
    }
    const size = Math.min(Math.max(end - start, READ_AHEAD), this.size - start);
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(size);
    this.#window = readAt(this.#file, start, this.#buffer.subarray(0, size));
    this.#windowAt = start;
    return this.#window.subarray(0, end - start);
  }

  /** The same as a view that stays as it is until {@link close}. */
  hold(start: number, end: number): Uint8Array {
    if (this.#file === undefined) return this.#memory.subarray(start, end);
    return readAt(this.#file, start, new Uint8Array(end - start));
  }

  /** Gives back the memory and the file. Closing twice is fine. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#release();
    this.#window = this.#buffer = new Uint8Array(0);
    this.size = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #remember(bytes: Uint8Array): void {
    const needed = this.size + bytes.length;
    if (needed > this.#memory.length) {
      const before = this.#memory.subarray(0, this.size);
      this.#reserve(Math.max(needed, 2 * this.#memory.length, FIRST_CAPACITY));
      this.#memory.set(before);
    }
    this.#memory.set(bytes, this.size);
  }

  /** Sets memory aside, with anything in it. */
  #reserve(size: number): void {
    if (spare.length < size) {
      this.#memory = new Uint8Array(size);
      return;
    }
    this.#memory = spare;
    spare = new Uint8Array(0);
  }

  #release(): void {
    const { length } = this.#memory;
    if (length > spare.length && length <= LARGEST_SPARE) spare = this.#memory;
    this.#memory = new Uint8Array(0);
  }

  #write(file: number, bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    } catch (cause) {
      throw cannotSpool(cause);
    }
  }
}

function openUnnamed(): number {
  const path = join(tmpdir(), `prombackup-spool-${randomUUID()}`);
  try {
    const file = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    return file;
  } catch (cause) {
    throw cannotSpool(cause);
  }
}

function cannotSpool(cause: unknown): Failure {
  const text = `cannot keep a large index in ${tmpdir()}: ${errorText(cause)}`;
  return new Failure(`${text}; free space there, or name another directory in TMPDIR`, { cause });
}

function readAt(file: number, position: number, target: Uint8Array): Uint8Array {
  for (let at = 0; at < target.length; ) {
    const count = readSync(file, target, at, target.length - at, position + at);
    if (count === 0) throw new Failure("the temporary file of an index became shorter");
    at += count;
  }
  return target;
}
