import { closeSync, constants, openSync, read, readSync } from "node:fs";
import { Failure } from "../lib/errors.ts";
import { statusOf } from "../lib/files/status.ts";
import { allocate, free, LARGEST_PIECE } from "./buffers.ts";
import { fileFailure } from "./file-failure.ts";
import { type ArchivePlan, archivePath, type Member } from "./plan.ts";
import { shown } from "./shown.ts";

/** A named pipe in place of the file must not keep the opening waiting. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A chunk of the archive: of smaller ones each costs the network, and its consumers, a turn of their own. */
const READ_SIZE = LARGEST_PIECE;

/** Up to so many bytes a file is read at once, without a thread: that takes a tenth of the time. */
export const SMALL_FILE = 64 * 1024;

/**
 * A planned file, opened for reading. Several may hold it, such as threads that read parts of it: it
 * is closed when the last one releases it.
 */
export class PlannedFile {
  private holders = 1;

  private constructor(
    readonly fd: number,
    private readonly member: Member,
    /** What messages call it. */
    private readonly label: string,
  ) {}

  /**
   * Opens a file; whoever asked for it holds it.
   *
   * @throws Failure naming the file if it can't be opened or isn't what was planned
   */
  static open(plan: ArchivePlan, member: Member): PlannedFile {
    const label = archivePath(plan.name, member.path);
    try {
      const fd = openSync(`${plan.directory}/${member.path}`, READ_FILE);
      const file = new PlannedFile(fd, member, label);
      try {
        file.requireUnchanged();
        return file;
      } catch (error) {
        file.release();
        throw error;
      }
    } catch (error) {
      throw fileFailure(label, error);
    }
  }

  /** Within the snapshot. */
  get path(): string {
    return this.member.path;
  }

  /** Bytes. */
  get size(): number {
    return this.member.size;
  }

  hold(): void {
    this.holders++;
  }

  /** Once for each hold, and once for the opening. */
  release(): void {
    this.holders--;
    if (this.holders === 0) closeSync(this.fd);
  }

  /**
   * To be asked when all was read. The time of the last status change is not compared: a snapshot's
   * files are hard links, and it moves whenever Prometheus or a prune removes another link to the
   * same file.
   *
   * @throws Failure if it isn't the file that was planned, or was written to
   */
  requireUnchanged(): void {
    const { size, mtimeMs, dev, ino } = this.member;
    const stats = statusOf(this.fd);
    if (stats.type !== "file" || stats.dev !== dev || stats.ino !== ino) {
      throw this.changed("another file took its place");
    }
    if (stats.size !== size) {
      throw this.changed(
        `it ${stats.size < size ? "shrank" : "grew"} from ${size} to ${stats.size} bytes`,
      );
    }
    if (stats.mtimeMs !== mtimeMs) throw this.changed("it was written to");
  }

  /**
   * All of it, in buffers of at most 512 KiB, one of which is read ahead on Bun's threads.
   *
   * @throws Failure naming the file if it can't be read, or changed meanwhile
   */
  async *read(): AsyncGenerator<Uint8Array> {
    yield* this.readPieces();
    try {
      this.requireUnchanged();
    } catch (error) {
      throw this.failure(error);
    }
  }

  /**
   * All of a small one, at once.
   *
   * @param into has as many bytes as the file
   * @throws Failure as {@link read}
   */
  readInto(into: Uint8Array): void {
    try {
      for (let at = 0; at < into.length; ) {
        const length = readSync(this.fd, into, at, into.length - at, at);
        if (length === 0) throw this.tooShort(at);
        at += length;
      }
      this.requireUnchanged();
    } catch (error) {
      throw this.failure(error);
    }
  }

  private async *readPieces(): AsyncGenerator<Uint8Array> {
    let ahead = this.size > 0 ? this.readAhead(0) : undefined;
    try {
      for (let at = 0; ahead; ) {
        const bytes: Uint8Array = await ahead;
        at += bytes.length;
        ahead = at < this.size ? this.readAhead(at) : undefined;
        yield bytes;
      }
    } catch (error) {
      throw this.failure(error);
    } finally {
      // Whoever closes the file must not do so under a read.
      const unread = await ahead?.catch(() => undefined);
      if (unread) free(unread);
    }
  }

  /** What a failed reading of it is to the operator. */
  failure(error: unknown): Failure {
    return fileFailure(this.label, error);
  }

  /** That it ended early. */
  tooShort(at: number): Failure {
    const { size } = this.member;
    return this.changed(`it ended ${size - at} bytes before its size of ${size}`);
  }

  private readAhead(at: number): Promise<Uint8Array> {
    const bytes = this.readAt(at);
    // Should it fail while the consumer is elsewhere: that is told when its turn comes.
    bytes.catch(() => {});
    return bytes;
  }

  private async readAt(at: number): Promise<Uint8Array> {
    const bytes = allocate(Math.min(READ_SIZE, this.size - at));
    if (bytes.length === 0) return bytes;
    const length = await readSome(this.fd, bytes, at);
    if (length === 0) throw this.tooShort(at);
    return bytes.subarray(0, length);
  }

  private changed(how: string): Failure {
    return new Failure(`${shown(this.label)} changed while it was read: ${how}`);
  }
}

/**
 * The contents of a planned file: exactly `member.size` bytes, as {@link PlannedFile.read} gives them.
 *
 * @throws Failure naming the file if it can't be read, isn't the planned one, or changes meanwhile
 */
export async function* readPlannedFile(
  plan: ArchivePlan,
  member: Member,
): AsyncGenerator<Uint8Array> {
  if (member.size <= SMALL_FILE) {
    const bytes = new Uint8Array(member.size);
    readSmallFile(plan, member, bytes);
    if (bytes.length > 0) yield bytes;
    return;
  }
  const file = PlannedFile.open(plan, member);
  try {
    yield* file.read();
  } finally {
    file.release();
  }
}

/**
 * Reads all of a planned file of at most {@link SMALL_FILE} bytes.
 *
 * @param into has as many bytes as the file
 * @throws Failure as {@link readPlannedFile}
 */
export function readSmallFile(plan: ArchivePlan, member: Member, into: Uint8Array): void {
  const file = PlannedFile.open(plan, member);
  try {
    file.readInto(into);
  } finally {
    file.release();
  }
}

function readSome(fd: number, bytes: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, 0, bytes.length, at, (error, length) => {
      if (error) reject(error);
      else resolve(length);
    });
  });
}
