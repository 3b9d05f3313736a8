import { DamagedError } from "../../lib/errors.ts";
import { isBlockName } from "../../tsdb/meta.ts";
import { pathComponents } from "../member-path.ts";
import { shown } from "../shown.ts";
import type { TarEntry } from "../tar/reader.ts";
import { BlockInspector, type BlockReport } from "./inspect-block.ts";
import { Messages } from "./messages.ts";

export type { BlockReport } from "./inspect-block.ts";

/** What an archive of a snapshot holds, and what is wrong with it. */
export interface SnapshotReport {
  /** Of the directory at the top; undefined if there is none. */
  readonly name: string | undefined;
  /** By ULID, which is the order of their creation. */
  readonly blocks: readonly BlockReport[];
  /** Content of the files. */
  readonly bytes: number;
  readonly files: number;
  /** About the archive as a whole; what is wrong with a block stands there. Few: the rest is only counted. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** Prometheus names snapshots by time and a random number; the server accepts no other names. */
const SNAPSHOT_NAME = /^[a-z0-9]+-[a-z0-9]+$/i;

/**
 * Limits to what is kept in memory, a multiple of what a snapshot can have: ten years of blocks of
 * two hours that were never compacted are 44,000 blocks with 220,000 files.
 */
const MAX_MEMBERS = 500_000;
const MAX_BLOCKS = 100_000;
const MAX_STRAYS = 10_000;

/** Of what `tar cf X -C SNAPSHOT .` makes. */
const PACK_ABOVE = "pack the directory that holds the blocks, not the blocks themselves";

/** Of a directory that holds a meta.json, and is named otherwise than a block. */
export const PASSED_OVER =
  "looks like a block, but Prometheus passes over a directory of that name";

/**
 * Reads an archive's members to the end and tells whether they are a snapshot: one directory at the
 * top, in it block directories with their parts and a meta.json that Prometheus reads. Contents
 * other than meta.json are not looked at. What is wrong with the content is collected; memory and
 * messages are bounded.
 *
 * @param top whether the directory at the top is named by Prometheus, or by anybody
 * @throws DamagedError if there are more members than any snapshot has; what the entries throw is
 *   passed on.
 */
export async function inspectArchive(
  entries: AsyncIterable<TarEntry>,
  top: "snapshot" | "any" = "snapshot",
): Promise<SnapshotReport> {
  const inspector = new Inspector(top);
  for await (const entry of entries) await inspector.add(entry);
  return inspector.report();
}

class Inspector {
  readonly #errors = new Messages();
  readonly #warnings = new Messages();
  readonly #blocks = new Map<string, BlockInspector>();
  /** Paths that have no place in a snapshot, so that each is told once. */
  readonly #strays = new Set<string>();
  #name: string | undefined;
  #nameSeen = false;
  #members = 0;
  #files = 0;
  #bytes = 0;

  constructor(private readonly top: "snapshot" | "any") {}

  async add(entry: TarEntry): Promise<void> {
    if (++this.#members > MAX_MEMBERS) throw tooMany(`${MAX_MEMBERS} members`);
    if (entry.type === "file") {
      this.#files++;
      this.#bytes += entry.size;
    }
    const components = pathComponents(entry.path);
    if ("bad" in components) this.#errors.add(`${shown(entry.path)}: ${components.bad}`);
    else if (entry.type === "other") this.#errors.add(`${shown(entry.path)}: a ${entry.kind}`);
    else await this.#place(components, entry);
  }

  report(): SnapshotReport {
    const blocks = [...this.#blocks].sort(([a], [b]) => (a < b ? -1 : 1));
    const reports = blocks.map(([, block]) => block.report());
    this.#checkWhole();
    return {
      name: this.#name,
      blocks: reports,
      bytes: this.#bytes,
      files: this.#files,
      errors: this.#errors.list(),
      warnings: this.#warnings.list(),
    };
  }

  async #place(components: readonly string[], entry: TarEntry): Promise<void> {
    const [top, name, ...rest] = components;
    if (top === undefined) return;
    if (name === undefined && entry.type === "file") return this.#stray(components, entry);
    this.#name ??= top;
    if (top !== this.#name) return this.#secondTop(top);
    if (name === undefined) return this.#topDirectory(top);
    if (!isBlockName(name) || !(await this.#block(name).add(rest, entry))) {
      this.#stray(components, entry);
    }
  }

  #topDirectory(name: string): void {
    if (this.#nameSeen) this.#errors.add(`${shown(name)} is in the archive twice`);
    this.#nameSeen = true;
  }

  #secondTop(top: string): void {
    if (!this.#isNewStray(top)) return;
    const first = shown(this.#name ?? "");
    const remedy = isBlockName(top) ? `: ${PACK_ABOVE}` : "";
    this.#errors.add(`${shown(top)}: a second directory at the top, beside ${first}${remedy}`);
  }

  #block(ulid: string): BlockInspector {
    const known = this.#blocks.get(ulid);
    if (known) return known;
    if (this.#blocks.size === MAX_BLOCKS) throw tooMany(`${MAX_BLOCKS} blocks`);
    const block = new BlockInspector(ulid, (text) => this.#warnings.add(text));
    this.#blocks.set(ulid, block);
    return block;
  }

  #stray(components: readonly string[], { kind }: TarEntry): void {
    const path = components.join("/");
    if (this.#isNewStray(path)) {
      this.#warnings.add(
        `${shown(path)}: a ${kind} that is no part of a snapshot${likeBlock(components)}`,
      );
    } else {
      this.#errors.add(`${shown(path)} is in the archive twice`);
    }
  }

  #isNewStray(path: string): boolean {
    if (this.#strays.has(path)) return false;
    if (this.#strays.size === MAX_STRAYS)
      throw tooMany(`${MAX_STRAYS} members that are no part of it`);
    this.#strays.add(path);
    return true;
  }

  #checkWhole(): void {
    if (this.#name === undefined) {
      this.#errors.add("it has no directory, where a snapshot is one");
    } else if (this.#blocks.size === 0 && this.#strays.size > 0) {
      const remedy = isBlockName(this.#name) ? `, but a block: ${PACK_ABOVE}` : "";
      this.#errors.add(
        `${shown(this.#name)} has no block: it is no snapshot of a Prometheus${remedy}`,
      );
    } else if (this.#blocks.size === 0) {
      this.#warnings.add(`${shown(this.#name)} has no block: Prometheus had no data`);
    }
    if (this.top === "any" || this.#name === undefined) return;
    if (!SNAPSHOT_NAME.test(this.#name)) {
      this.#warnings.add(`${shown(this.#name)} is not how a snapshot is named`);
    }
  }
}

/** What a copy of a block beside the blocks is to Prometheus. */
function likeBlock([, name = "", ...rest]: readonly string[]): string {
  if (isBlockName(name) || rest.join("/") !== "meta.json") return "";
  return `: ${shown(name)} ${PASSED_OVER}`;
}

function tooMany(what: string): DamagedError {
  return new DamagedError(`no snapshot: it has more than ${what}`);
}
