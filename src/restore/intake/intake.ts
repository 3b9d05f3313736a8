import { pathComponents } from "../../archive/member-path.ts";
import { shown } from "../../archive/shown.ts";
import type { TarEntry } from "../../archive/tar/reader.ts";
import { DamagedError } from "../../lib/errors.ts";
import { type BlockMeta, isUlid, MAX_META_BYTES, parseBlockMeta } from "../../tsdb/meta.ts";

/** A block as an archive holds it. */
export interface ArchivedBlock {
  readonly ulid: string;
  /** Undefined if there is none that Prometheus would read. */
  readonly meta: BlockMeta | undefined;
  /** The sizes of its files, by their paths below the block's directory. */
  readonly files: ReadonlyMap<string, number>;
}

/** Where a member belongs: `path` is "" for the block's own directory. */
export interface Place {
  readonly ulid: string;
  readonly path: string;
}

interface Block {
  meta: BlockMeta | undefined;
  readonly files: Map<string, number>;
}

const PART = /^(meta\.json|index|tombstones|chunks\/(?!0{6}$)\d{6})$/;

/** No snapshot has as many; so many names are kept in memory. */
const MAX_UNKNOWN = 10_000;

/**
 * The door of a restore. Nothing of an archive is used but regular files called
 * `<snapshot>/<ULID>/{meta.json,index,tombstones,chunks/NNNNNN}` and the directories that hold them.
 * What no tar of a snapshot has (links, devices, `..`, an absolute path, a name that comes twice or
 * that differs from a known one in case alone) ends the reading; a file that is only foreign is noted.
 */
export class Intake {
  readonly #blocks = new Map<string, Block>();
  readonly #directories = new Set<string>();
  readonly #unknown = new Set<string>();
  #snapshot: string | undefined;

  /**
   * Passes on what belongs to a block or holds blocks.
   *
   * @throws DamagedError that names the member that is refused
   */
  async *watch(entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
    for await (const entry of entries) {
      const below = this.#belowSnapshot(entry);
      if (below === "") yield entry;
      else if (below !== undefined) yield* this.#block(entry, below);
    }
  }

  /** The name of the directory at the top; undefined if there is none. */
  get snapshot(): string | undefined {
    return this.#snapshot;
  }

  /** By ULID. */
  get blocks(): readonly ArchivedBlock[] {
    const sorted = [...this.#blocks].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([ulid, block]) => ({ ulid, ...block }));
  }

  /** Regular files and directories that are no part of a snapshot: they were not passed on. */
  get unknown(): readonly string[] {
    return [...this.#unknown];
  }

  /** The path below the snapshot, or undefined if the member has no place there. */
  #belowSnapshot(entry: TarEntry): string | undefined {
    if (entry.type === "other") throw refused(entry.path, `it is a ${entry.kind}`);
    const components = pathComponents(entry.path);
    if ("bad" in components) throw refused(entry.path, components.bad);
    const [top, ...rest] = components;
    if (top === undefined) return undefined;
    if (rest.length === 0 && entry.type === "file") return this.#foreign(entry);
    this.#snapshot ??= top;
    if (top !== this.#snapshot) {
      const why = `a second directory at the top, beside ${shown(this.#snapshot)}`;
      const remedy = ": pack the directory that holds the blocks, not the blocks themselves";
      throw refused(entry.path, isUlid(top) ? `${why}${remedy}` : why);
    }
    const below = rest.join("/");
    if (entry.type === "directory") this.#enter(below, entry.path);
    return below;
  }

  async *#block(entry: TarEntry, below: string): AsyncGenerator<TarEntry> {
    const place = placeOf(below);
    if (place === undefined || !fits(place, entry)) {
      if (place === undefined && placeOf(inOurCase(below)) !== undefined) {
        throw refused(entry.path, "it differs from the name of a block's file in case alone");
      }
      this.#foreign(entry);
      return;
    }
    const block = this.#blocks.get(place.ulid) ?? { meta: undefined, files: new Map() };
    this.#blocks.set(place.ulid, block);
    if (entry.type === "directory") return yield entry;
    if (block.files.has(place.path)) throw refused(entry.path, "it is in the archive twice");
    block.files.set(place.path, entry.size);
    if (place.path !== "meta.json" || entry.size > MAX_META_BYTES) return yield entry;
    const bytes = Buffer.concat(
      await Array.fromAsync(entry.body, (piece) => new Uint8Array(piece)),
    );
    block.meta = readMeta(bytes);
    yield { ...entry, body: whole(bytes) };
  }

  #enter(below: string, path: string): void {
    if (this.#directories.has(below)) throw refused(path, "it is in the archive twice");
    this.#directories.add(below);
  }

  #foreign(entry: TarEntry): undefined {
    if (entry.type === "file" && this.#unknown.has(entry.path)) {
      throw refused(entry.path, "it is in the archive twice");
    }
    this.#unknown.add(entry.path);
    if (this.#unknown.size > MAX_UNKNOWN) {
      throw new DamagedError(`more than ${MAX_UNKNOWN} members are no part of a snapshot: refused`);
    }
  }
}

/** Where a path below the snapshot belongs; undefined if it is no part of a block. */
export function placeOf(below: string): Place | undefined {
  const [ulid = "", ...rest] = below.split("/");
  const path = rest.join("/");
  const known = path === "" || path === "chunks" || PART.test(path);
  return isUlid(ulid) && known ? { ulid, path } : undefined;
}

function inOurCase(below: string): string {
  const [ulid = "", ...rest] = below.split("/");
  return [ulid.toUpperCase(), ...rest.map((name) => name.toLowerCase())].join("/");
}

function fits({ path }: Place, { type }: TarEntry): boolean {
  return (type === "directory") === (path === "" || path === "chunks");
}

function refused(path: string, why: string): DamagedError {
  return new DamagedError(`refused: ${shown(path)}: ${why}`);
}

/** What is wrong with it is the check's to say. */
function readMeta(bytes: Buffer): BlockMeta | undefined {
  try {
    return parseBlockMeta(bytes.toString());
  } catch {
    return undefined;
  }
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
