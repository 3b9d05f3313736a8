import { errorText } from "../../lib/errors.ts";
import { type BlockMeta, isUlid, MAX_META_BYTES, parseBlockMeta } from "../../tsdb/meta.ts";
import { shown } from "../shown.ts";
import type { TarEntry } from "../tar/reader.ts";
import { Messages } from "./messages.ts";

/** What an archive holds of one block. The numbers are meta.json's, undefined if it is unreadable. */
export interface BlockReport {
  readonly ulid: string;
  /** Milliseconds since the epoch; the range is half-open. */
  readonly minTime: number | undefined;
  readonly maxTime: number | undefined;
  readonly numSeries: number | undefined;
  readonly numChunks: number | undefined;
  readonly numSamples: number | undefined;
  /** Content of its files. */
  readonly bytes: number;
  readonly errors: readonly string[];
}

/** The fixed parts of a block, and the smallest size that Prometheus opens. */
const SMALLEST = {
  "meta.json": 1,
  /** Header of 5 bytes and table of contents of 52 (prometheus/prometheus `tsdb/index`). */
  index: 57,
  /** Magic, version, checksum. Prometheus panics on 8 bytes. */
  tombstones: 9,
} as const;

/** The header of a segment (prometheus/prometheus `tsdb/chunks`). */
const SMALLEST_SEGMENT = 8;

type Part = keyof typeof SMALLEST;

function isPart(name: string): name is Part {
  return Object.hasOwn(SMALLEST, name);
}

/** Gathers the members of one block directory, in any order, and then tells what is wrong. */
export class BlockInspector {
  readonly #ulid: string;
  readonly #warn: (text: string) => void;
  readonly #errors = new Messages();
  /** What was seen: the names of parts, "" for the directory itself. */
  readonly #seen = new Set<string>();
  readonly #segments = new Set<number>();
  #meta: BlockMeta | undefined;
  #bytes = 0;

  /** @param warn takes what is odd but does no harm. */
  constructor(ulid: string, warn: (text: string) => void) {
    this.#ulid = ulid;
    this.#warn = (text) => warn(`block ${ulid}: ${text}`);
  }

  /**
   * Takes a member, by the components of its path within the block ([] for its directory). Reads
   * nothing but meta.json of the bodies. Answers false, and has noted nothing but its size, if the
   * member is no part of a block.
   */
  async add(components: readonly string[], entry: TarEntry): Promise<boolean> {
    const [first = "", second, third] = components;
    if (entry.type === "file") this.#bytes += entry.size;
    if (third !== undefined) return false;
    if (second !== undefined) return first === "chunks" && this.#addSegment(second, entry);
    if (first === "" || first === "chunks") this.#addDirectory(first, entry);
    else if (isPart(first)) await this.#addPart(first, entry);
    else return false;
    return true;
  }

  report(): BlockReport {
    this.#checkParts();
    this.#checkSegments();
    return {
      ulid: this.#ulid,
      minTime: this.#meta?.minTime,
      maxTime: this.#meta?.maxTime,
      numSeries: this.#meta?.stats.numSeries,
      numChunks: this.#meta?.stats.numChunks,
      numSamples: this.#meta?.stats.numSamples,
      bytes: this.#bytes,
      errors: this.#errors.list(),
    };
  }

  #addDirectory(name: "" | "chunks", entry: TarEntry): void {
    const what = name === "" ? "its directory" : "chunks";
    if (entry.type !== "directory") this.#errors.add(`${what} is not a directory`);
    if (this.#seen.has(name)) this.#errors.add(`${what} is in the archive twice`);
    this.#seen.add(name);
  }

  async #addPart(name: Part, entry: TarEntry): Promise<void> {
    if (!this.#isFile(name, entry)) return;
    if (this.#seen.has(name)) {
      this.#errors.add(`${name} is in the archive twice`);
      return;
    }
    this.#seen.add(name);
    if (entry.size < SMALLEST[name]) this.#tooSmall(name, entry.size);
    else if (name === "meta.json") await this.#readMeta(entry);
  }

  /** Prometheus takes every name that is a number for a segment, and passes over the others. */
  #addSegment(name: string, entry: TarEntry): boolean {
    const path = `chunks/${shown(name)}`;
    if (!/^\d+$/.test(name)) return false;
    if (!/^\d{6}$/.test(name) || Number(name) === 0) {
      this.#errors.add(`${path} is no name of a segment, but Prometheus would take it for one`);
    } else if (this.#isFile(path, entry)) {
      if (this.#segments.has(Number(name))) this.#errors.add(`${path} is in the archive twice`);
      this.#segments.add(Number(name));
      if (entry.size < SMALLEST_SEGMENT) this.#tooSmall(path, entry.size);
    }
    return true;
  }

  async #readMeta(entry: TarEntry): Promise<void> {
    if (entry.size > MAX_META_BYTES) {
      this.#errors.add(`meta.json has ${entry.size} bytes, more than ${MAX_META_BYTES}`);
      return;
    }
    const bytes = new Uint8Array(entry.size);
    let have = 0;
    for await (const piece of entry.body) {
      bytes.set(piece, have);
      have += piece.length;
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      this.#meta = parseBlockMeta(text);
    } catch (cause) {
      this.#errors.add(`${shown(errorText(cause))}: Prometheus would leave the block out`);
    }
  }

  #checkParts(): void {
    if (!isUlid(this.#ulid)) {
      this.#errors.add(
        "Prometheus takes it for a block, but writes its name in upper case alone: rename the directory so",
      );
    }
    if (this.#meta && this.#meta.ulid !== this.#ulid.toUpperCase()) {
      this.#errors.add(`meta.json is of block ${this.#meta.ulid}`);
    }
    if (!this.#seen.has("meta.json")) {
      this.#errors.add("meta.json is missing: Prometheus would leave the block out");
    }
    if (!this.#seen.has("index")) {
      this.#errors.add("index is missing: Prometheus would not start");
    }
    if (!this.#seen.has("tombstones")) {
      this.#warn("tombstones is missing: later snapshots of a database with it would fail");
    }
  }

  #checkSegments(): void {
    const count = this.#segments.size;
    if (count > 0) {
      const missing = firstMissing(this.#segments);
      if (missing !== undefined) this.#errors.add(`chunks/${missing} is missing`);
    } else if (!this.#seen.has("chunks")) {
      this.#errors.add("chunks is missing: Prometheus would not start");
    } else if (this.#meta?.stats.numChunks === 0) {
      this.#warn("it holds no data");
    } else {
      this.#errors.add("chunks is empty: every query of the block would fail");
    }
  }

  #isFile(name: string, entry: TarEntry): boolean {
    if (entry.type !== "file") this.#errors.add(`${name} is a ${entry.kind}, not a file`);
    return entry.type === "file";
  }

  #tooSmall(name: string, size: number): void {
    this.#errors.add(size === 0 ? `${name} is empty` : `${name} is cut off: it has ${size} bytes`);
  }
}

/** The first of the names 000001, 000002, … that is missing before the last one there is. */
function firstMissing(segments: ReadonlySet<number>): string | undefined {
  for (let i = 1; i <= segments.size; i++) {
    if (!segments.has(i)) return String(i).padStart(6, "0");
  }
  return undefined;
}
