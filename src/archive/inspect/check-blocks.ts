import { DamagedError } from "../../lib/errors.ts";
import {
  BlockCheck,
  type BlockResult,
  type CheckLevel,
  type FileCheck,
} from "../../tsdb/check-block.ts";
import { checkSnapshot } from "../../tsdb/check-snapshot.ts";
import type { Finding } from "../../tsdb/findings.ts";
import { isUlid } from "../../tsdb/meta.ts";
import { pathComponents } from "../member-path.ts";
import { shown } from "../shown.ts";
import type { TarEntry } from "../tar/reader.ts";

/** What the contents of an archive's blocks told. */
export interface ContentReport {
  readonly blocks: readonly BlockResult[];
  /** About blocks beside each other: overlaps, parents, the same ULID twice. */
  readonly across: readonly Finding[];
}

/**
 * Checks the contents of an archive's blocks while somebody else reads its entries: nothing is read
 * twice, and nothing is extracted. One block is held in memory at a time, as {@link BlockCheck} says.
 */
export class BlockContents {
  readonly #level: CheckLevel;
  readonly #results = new Map<string, BlockResult>();
  #current: { readonly ulid: string; readonly check: BlockCheck } | undefined;

  constructor(level: CheckLevel) {
    this.#level = level;
  }

  /**
   * Passes entries on and checks those that belong to blocks.
   *
   * @throws DamagedError if the files of a block don't stand together; what the entries throw is
   *   passed on. Check files that are left open are closed then.
   */
  async *watch(entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
    try {
      for await (const entry of entries) yield* this.#watchEntry(entry);
      await this.#finishCurrent();
    } finally {
      this.#current?.check.close();
    }
  }

  /** To be called when all entries were read. */
  report(): ContentReport {
    const blocks = [...this.#results.values()];
    return { blocks, across: checkSnapshot(blocks) };
  }

  async *#watchEntry(entry: TarEntry): AsyncGenerator<TarEntry> {
    const [, ulid, ...rest] = this.#components(entry);
    if (ulid === undefined || !isUlid(ulid)) return yield entry;
    const check = await this.#block(ulid);
    const path = rest.join("/");
    if (entry.type === "directory" && path !== "") check.directory(path);
    if (entry.type !== "file" || path === "") return yield entry;
    const file = check.open(path);
    const body = watched(entry.body, file);
    yield { ...entry, body };
    // What the reader had no use for is checked all the same.
    for await (const _ of body);
    file.end();
  }

  #components(entry: TarEntry): readonly string[] {
    const components = pathComponents(entry.path);
    return "bad" in components ? [] : components;
  }

  async #block(ulid: string): Promise<BlockCheck> {
    if (this.#current?.ulid === ulid) return this.#current.check;
    await this.#finishCurrent();
    if (this.#results.has(ulid)) {
      throw new DamagedError(
        `the files of block ${shown(ulid)} don't stand together in the archive`,
      );
    }
    this.#current = { ulid, check: new BlockCheck(ulid, this.#level) };
    return this.#current.check;
  }

  async #finishCurrent(): Promise<void> {
    if (this.#current === undefined) return;
    const { ulid, check } = this.#current;
    this.#results.set(ulid, await check.finish());
    this.#current = undefined;
  }
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  file: FileCheck,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    file.push(piece);
    yield piece;
  }
}
