import { DamagedError } from "../../lib/errors.ts";
import type { ByteSource } from "../byte-source.ts";
import { shown } from "../shown.ts";
import {
  BLOCK_SIZE,
  decodeGnuName,
  decodeHeader,
  decodeName,
  isZeros,
  type TarHeader,
} from "./decode.ts";
import { decodePax, type PaxRecords, sparse } from "./pax-decode.ts";

/** A member's header and what the records before it say about it. */
export interface Member {
  readonly path: string;
  readonly type: "file" | "directory" | "other";
  readonly kind: string;
  readonly size: number;
  readonly mtime: number;
}

/** A pax record or a long name larger than this is refused: real ones have some hundred bytes. */
const MAX_RECORD_BYTES = 1024 * 1024;

/** Records that came before a member's own header. */
interface Records {
  pax?: PaxRecords;
  longName?: Uint8Array;
  longLink?: Uint8Array;
}

const KINDS = new Map([
  ["0", "file"],
  // Contiguous files: files, wherever they are still written.
  ["7", "file"],
  ["5", "directory"],
  ["1", "hard link"],
  ["2", "symbolic link"],
  ["3", "character device"],
  ["4", "block device"],
  ["6", "named pipe"],
]);

/** Reads the headers of one archive, one member at a time. */
export class HeaderReader {
  readonly #source: ByteSource;
  /** From `g` records: holds for all members after it. */
  #global: PaxRecords = {};

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** The next member, or undefined after the first of the zero blocks that end an archive. */
  async next(): Promise<Member | undefined> {
    const records: Records = {};
    for (;;) {
      const at = this.#source.offset;
      const block = await this.#source.exactly(BLOCK_SIZE);
      if (block.length < BLOCK_SIZE) throw this.#truncated("where a header should be");
      if (isZeros(block)) {
        if (Object.keys(records).length === 0) return undefined;
        throw new DamagedError(
          `tar: the archive ends at byte ${at}, after a record about a member`,
        );
      }
      const member = await this.#read(at, block, records);
      if (member) return member;
    }
  }

  async #read(at: number, block: Uint8Array, records: Records): Promise<Member | undefined> {
    const header = located(at, () => decodeHeader(block));
    switch (header.typeflag) {
      case "x":
        put(records, "pax", at, decodePax, await this.#record(at, header));
        return undefined;
      case "L":
        put(records, "longName", at, decodeGnuName, await this.#record(at, header));
        return undefined;
      case "K":
        put(records, "longLink", at, decodeGnuName, await this.#record(at, header));
        return undefined;
      case "g": {
        const body = await this.#record(at, header);
        this.#global = located(at, () => mergeGlobal(this.#global, decodePax(body)));
        return undefined;
      }
      default:
        return located(at, () => toMember(header, records, this.#global));
    }
  }

  /** A copy of the body of a record, without its padding: what was read is gone at the next header. */
  async #record(at: number, { size, typeflag }: TarHeader): Promise<Uint8Array> {
    if (size > MAX_RECORD_BYTES) {
      const limit = `more than ${MAX_RECORD_BYTES} are refused`;
      throw new DamagedError(
        `tar: the '${typeflag}' record at byte ${at} has ${size} bytes; ${limit}`,
      );
    }
    const padded = Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
    const bytes = await this.#source.exactly(padded);
    if (bytes.length < padded) throw this.#truncated(`in the '${typeflag}' record at byte ${at}`);
    if (!isZeros(bytes.subarray(size))) {
      throw new DamagedError(`tar: the padding of the record at byte ${at} is not zeros`);
    }
    // Not by slice, which of a Buffer makes a view.
    return new Uint8Array(bytes.subarray(0, size));
  }

  #truncated(where: string): DamagedError {
    const { offset, context } = this.#source;
    const last = context === "" ? "" : ` (${context})`;
    return new DamagedError(`tar: truncated: it ends at byte ${offset}, ${where}${last}`);
  }
}

/** Readers disagree about what a second record of a kind means, so there must be none. */
function put<K extends keyof Records>(
  records: Records,
  kind: K,
  at: number,
  decode: (body: Uint8Array) => Required<Records>[K],
  body: Uint8Array,
): void {
  located(at, () => {
    if (records[kind]) throw new DamagedError("a second record of its kind about one member");
    records[kind] = decode(body);
  });
}

function mergeGlobal(before: PaxRecords, added: PaxRecords): PaxRecords {
  if (added.path || added.size !== undefined) {
    throw new DamagedError("it gives one path or size to all members");
  }
  return { ...before, ...added };
}

function toMember(header: TarHeader, records: Records, global: PaxRecords): Member {
  const { typeflag } = header;
  if (typeflag === "S") throw sparse();
  const pax = { ...global, ...records.pax };
  const name = decodeName(pax.path ?? records.longName ?? header.name);
  const size = pax.size ?? header.size;
  const kind = KINDS.get(typeflag) ?? `member of type ${shown(JSON.stringify(typeflag))}`;
  // The seventh edition had no type for directories: their names end in a slash.
  const type = kind === "file" && name.endsWith("/") ? "directory" : typeOf(kind);
  if (size > 0 && /[1-6]/.test(typeflag + (type === "directory" ? "5" : ""))) {
    throw new DamagedError(
      `its size is ${size}, but a ${type === "other" ? kind : type} has no content`,
    );
  }
  const path = type === "directory" && name.length > 1 ? name.replace(/\/$/, "") : name;
  return {
    path,
    type,
    kind: type === "other" ? kind : type,
    size,
    mtime: pax.mtime ?? header.mtime,
  };
}

function typeOf(kind: string): Member["type"] {
  return kind === "file" || kind === "directory" ? kind : "other";
}

/** Adds the position to what a pure decoder finds wrong. */
function located<T>(at: number, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof DamagedError)) throw cause;
    throw new DamagedError(`tar: bad header at byte ${at}: ${cause.message}`, { cause });
  }
}
