import { DamagedError } from "../../lib/errors.ts";
import { ByteSource } from "../byte-source.ts";
import { shown } from "../shown.ts";
import { BLOCK_SIZE, isZeros } from "./decode.ts";
import { HeaderReader, type Member } from "./members.ts";

/** A member of a tar archive. */
export interface TarEntry {
  /** As the archive has it, but for the slash that ends a directory's name. Not checked further. */
  readonly path: string;
  readonly type: "file" | "directory" | "other";
  /** What a message calls its type: "symbolic link". */
  readonly kind: string;
  /** Bytes of the body. */
  readonly size: number;
  /** Whole seconds since the epoch. */
  readonly mtime: number;
  /**
   * The content, in pieces of any size, each good until the next one is asked for. Can be read once, and
   * only until the next entry is asked for; what isn't read of it is skipped then.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Reads a tar archive: POSIX ustar with pax records, GNU's long names and large numbers, and the
 * seventh edition's. Everything that the format can show is checked: checksum, magic and numbers of
 * each header, padding (zeros only), the two zero blocks at the end, and nothing but zeros after
 * them, in whole blocks. An archive of zero blocks alone has no entries.
 *
 * Memory: one piece of the input, which need not outlive the asking for the next, and one pax record
 * (1 MiB at most). The input is closed when the consumer stops early.
 *
 * @throws DamagedError, with the offset in the tar stream and the name of the member it is about;
 *   what the input throws is passed on.
 *
 * @example
 * for await (const entry of readTar(Bun.file("backup.tar").stream())) {
 *   for await (const piece of entry.body) hash.update(piece);
 * }
 */
export async function* readTar(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const source = new ByteSource(bytes);
  const headers = new HeaderReader(source);
  try {
    for (let member = await headers.next(); member; member = await headers.next()) {
      source.context = `the last member reached is ${shown(member.path)}`;
      const body = new Body(source, member);
      const { path, type, kind, size, mtime } = member;
      yield { path, type, kind, size, mtime, body: body.pieces() };
      await body.finish();
    }
    await readEnd(source);
  } finally {
    await source.close();
  }
}

class Body {
  readonly #source: ByteSource;
  readonly #member: Member;
  #left: number;
  #open = true;

  constructor(source: ByteSource, member: Member) {
    this.#source = source;
    this.#member = member;
    this.#left = member.size;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      if (!this.#open) throw new Error(`body of ${this.#member.path} read after its entry ended`);
      yield await this.#take();
    }
  }

  /** Skips what the consumer left over, and checks the padding. */
  async finish(): Promise<void> {
    this.#open = false;
    while (this.#left > 0) await this.#take();
    const wanted = -this.#member.size & (BLOCK_SIZE - 1);
    const start = this.#source.offset;
    const padding = await this.#source.exactly(wanted);
    if (padding.length < wanted) throw this.#truncated();
    if (!isZeros(padding)) {
      const where = `after ${shown(this.#member.path)}, at byte ${start}`;
      throw new DamagedError(`tar: the padding ${where}, is not zeros`);
    }
  }

  async #take(): Promise<Uint8Array> {
    const piece = await this.#source.take(this.#left);
    if (piece === undefined) throw this.#truncated();
    this.#left -= piece.length;
    return piece;
  }

  #truncated(): DamagedError {
    const { path, size } = this.#member;
    const have = `${size - this.#left} of the ${size} bytes of ${shown(path)}`;
    return new DamagedError(
      `tar: truncated: it ends at byte ${this.#source.offset}, after ${have}`,
    );
  }
}

/** After the first zero block: a second one, then zeros to the end, in whole blocks. */
async function readEnd(source: ByteSource): Promise<void> {
  const second = await source.exactly(BLOCK_SIZE);
  if (second.length < BLOCK_SIZE) {
    throw new DamagedError(`tar: truncated: it ends at byte ${source.offset}, within its end mark`);
  }
  if (!isZeros(second)) {
    const at = source.offset - BLOCK_SIZE;
    throw new DamagedError(`tar: a single zero block before byte ${at}, where two end an archive`);
  }
  for (;;) {
    const at = source.offset;
    const piece = await source.take(Number.MAX_SAFE_INTEGER);
    if (piece === undefined) break;
    if (!isZeros(piece)) {
      const bad = at + piece.findIndex((byte) => byte !== 0);
      throw new DamagedError(`tar: data after the archive's end, at byte ${bad}`);
    }
  }
  if (source.offset % BLOCK_SIZE !== 0) {
    throw new DamagedError(`tar: truncated: it ends at byte ${source.offset}, within a block`);
  }
}
