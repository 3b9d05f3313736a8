import { Failure } from "../../lib/errors.ts";
import type { BlockResult } from "../../tsdb/check-block.ts";
import { checkSnapshot } from "../../tsdb/check-snapshot.ts";
import type { BlockChecks, RunningCheck, RunningFile } from "../../tsdb/checks.ts";
import type { Finding } from "../../tsdb/findings.ts";
import { isBlockName } from "../../tsdb/meta.ts";
import { pathComponents } from "../member-path.ts";
import { shown } from "../shown.ts";
import type { TarEntry } from "../tar/reader.ts";

/** What the contents of an archive's blocks told. */
export interface ContentReport {
  /** In the order in which they came. */
  readonly blocks: readonly BlockResult[];
  /** About blocks beside each other: overlaps, parents, the same ULID twice. */
  readonly across: readonly Finding[];
}

/**
 * Checks the contents of an archive's blocks while somebody else reads its entries, or writes them:
 * nothing is read twice, and nothing is extracted. While the bytes of one block come, as many as
 * {@link BlockChecks} allows are at work on what came before.
 */
export class BlockContents {
  readonly #checks: BlockChecks;
  readonly #onBlock: (result: BlockResult) => void;
  readonly #seen = new Set<string>();
  /** Directories of blocks: bsdtar has all of them before the first file. */
  readonly #announced = new Set<string>();
  #current: { readonly ulid: string; readonly check: RunningCheck } | undefined;
  readonly #finishing: { readonly check: RunningCheck; readonly result: Promise<BlockResult> }[] =
    [];
  readonly #results: BlockResult[] = [];

  /** @param onBlock is told the results, in the order of the blocks; what it throws is passed on. */
  constructor(checks: BlockChecks, onBlock: (result: BlockResult) => void = () => {}) {
    this.#checks = checks;
    this.#onBlock = onBlock;
  }

  /**
   * Passes entries on and checks those that belong to blocks.
   *
   * @throws Failure if the files of a block don't stand together; what the entries throw is
   *   passed on. What checks are left open is closed then.
   */
  async *watch(entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
    try {
      for await (const entry of entries) {
        const file = await this.begin(entry);
        if (file === undefined) {
          yield entry;
          continue;
        }
        const body = watched(entry.body, file);
        yield { ...entry, body };
        // What the reader had no use for is checked all the same.
        for await (const _ of body);
        file.end();
      }
      await this.end();
    } finally {
      this.close();
    }
  }

  /**
   * Says that a member comes, by its path in the archive.
   *
   * @returns what is to be given its bytes, if there are any to check
   * @throws Failure if the files of a block don't stand together
   */
  async begin(member: Pick<TarEntry, "path" | "type" | "size">): Promise<RunningFile | undefined> {
    const { path, type, size } = member;
    const components = pathComponents(path);
    const [, ulid, ...rest] = "bad" in components ? [] : components;
    if (ulid === undefined || !isBlockName(ulid)) return undefined;
    const within = rest.join("/");
    if (within === "") {
      this.#announced.add(ulid);
      return undefined;
    }
    const check = await this.#block(ulid);
    if (type === "directory") check.directory(within);
    return type === "file" ? check.open(within, size) : undefined;
  }

  /** Says that all members came, and waits for what is at work. */
  async end(): Promise<void> {
    for (const ulid of this.#announced) if (!this.#seen.has(ulid)) await this.#block(ulid);
    this.#finishCurrent();
    while (this.#finishing.length > 0) await this.#takeResult();
  }

  /** To be called when all members came. */
  report(): ContentReport {
    return { blocks: this.#results, across: checkSnapshot(this.#results) };
  }

  /** Gives up what is at work. Twice is fine. */
  close(): void {
    this.#current?.check.close();
    for (const { check } of this.#finishing) check.close();
  }

  async #block(ulid: string): Promise<RunningCheck> {
    if (this.#current?.ulid === ulid) return this.#current.check;
    if (this.#seen.has(ulid)) {
      throw new Failure(
        `the files of block ${shown(ulid)} don't stand together in the archive, so it can't be checked while it is read: extract it, and pack the snapshot's directory with tar again`,
      );
    }
    this.#seen.add(ulid);
    this.#finishCurrent();
    while (this.#finishing.length >= this.#checks.atOnce) await this.#takeResult();
    this.#current = { ulid, check: this.#checks.begin(ulid) };
    return this.#current.check;
  }

  #finishCurrent(): void {
    if (this.#current === undefined) return;
    const { check } = this.#current;
    const result = check.finish();
    // One that fails while another is waited for is told when its turn comes.
    result.catch(() => {});
    this.#finishing.push({ check, result });
    this.#current = undefined;
  }

  /** Waits for the oldest of those that are at work. */
  async #takeResult(): Promise<void> {
    const result = await this.#finishing[0]?.result;
    this.#finishing.shift();
    if (result === undefined) return;
    this.#results.push(result);
    this.#onBlock(result);
  }
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  file: RunningFile,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    const taken = file.push(piece);
    if (taken !== undefined) await taken;
    yield piece;
  }
}
