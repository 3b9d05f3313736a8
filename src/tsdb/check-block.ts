import { checkMeta, compareCounts, compareRange, MetaFile } from "./check-meta.ts";
import { ChunkReferences } from "./chunks/references.ts";
import { type EncodingCount, Segments } from "./chunks/segments.ts";
import { type Finding, type FindingCount, Findings } from "./findings.ts";
import { checkIndex } from "./index/check-index.ts";
import type { Series } from "./index/series.ts";
import type { BlockMeta } from "./meta.ts";
import { Spool } from "./spool.ts";
import { checkTombstones } from "./tombstones.ts";

/**
 * How much of a block is checked. `structure`: all but the inside of the chunks, which their
 * checksums vouch for. `full`: every sample is decoded, too, which finds what was wrong before its
 * checksum was made.
 */
export type CheckLevel = "structure" | "full";

/** What a check found in one block. Plain data: it can be sent between threads, and as JSON. */
export interface BlockResult {
  /** The block's directory name. */
  readonly block: string;
  /** Undefined if Prometheus would not read it. */
  readonly meta: BlockMeta | undefined;
  /** Content of all files. */
  readonly bytes: number;
  /** Series of the index; 0 if it can't be read. */
  readonly series: number;
  /** Chunks of the segments, and the samples that the sound ones among them announce. */
  readonly chunks: number;
  readonly samples: number;
  /** Of the sound chunks, by code. Prometheus before 3.11 reads no code above 3. */
  readonly encodings: readonly EncodingCount[];
  /** In the order of discovery; of each kind the first ten. */
  readonly findings: readonly Finding[];
  /** How often each kind was found. */
  readonly counts: readonly FindingCount[];
  /** Sums of those counts by severity. */
  readonly errors: number;
  readonly warnings: number;
}

/** Takes a file of a block, piece by piece. */
export interface FileCheck {
  /** Checks the next piece, which is not kept. */
  push(bytes: Uint8Array): void;
  /** Says that the file is complete. */
  end(): void;
}

/**
 * Decides from a stream of a block's files whether Prometheus can read every sample of it. Each file
 * is read once, and they may come in any order: the segments are checked as they come, all else when
 * the last one has.
 *
 * Memory: 8 bytes a chunk (24 with `full`), the index and the tombstones (each above 64 MiB in a
 * temporary file instead), and what {@link checkIndex} says.
 *
 * @example
 * using check = new BlockCheck("01HN3RKT7Z3XMWBNP2Q4J5V6SE", "structure");
 * for (const path of ["chunks/000001", "index", "meta.json", "tombstones"]) {
 *   await check.file(path, Bun.file(`${directory}/${path}`).stream());
 * }
 * const { errors, findings } = await check.finish();
 */
export class BlockCheck {
  readonly #block: string;
  readonly #findings: Findings;
  readonly #segments: Segments;
  readonly #paths = new Set<string>();
  #hasChunks = false;
  #meta: MetaFile | undefined;
  #index: Spool | undefined;
  #tombstones: Spool | undefined;
  #bytes = 0;

  /** @param block the name of the block's directory. */
  constructor(block: string, level: CheckLevel) {
    this.#block = block;
    this.#findings = new Findings(block);
    this.#segments = new Segments(this.#findings, level === "full");
  }

  /** Says that the block has a directory of this path below its own. */
  directory(path: string): void {
    if (path === "chunks") this.#hasChunks = true;
    else this.#unknown(path, "a directory");
  }

  /**
   * Begins a file; its path is that below the block's directory, with "/" between the names.
   *
   * @param size in bytes, if it is announced. It may be wrong.
   */
  open(path: string, size = 0): FileCheck {
    const file = this.#openKnown(path, size);
    return {
      push: (bytes) => {
        this.#bytes += bytes.length;
        file?.push(bytes);
      },
      end: () => file?.end(),
    };
  }

  /** Takes a whole file. */
  async file(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const file = this.open(path);
    for await (const bytes of body) file.push(bytes);
    file.end();
  }

  /**
   * Says that all files have come, and compares them with each other. To be called once.
   *
   * @throws Failure if a temporary file fails; damage is never thrown.
   */
  async finish(): Promise<BlockResult> {
    const meta = checkMeta(this.#block, this.#meta, this.#findings);
    const series = await this.#checkIndex(meta);
    const tombstones = await this.#checkTombstones(series);
    if (meta !== undefined) this.#compareCounts(meta, series, tombstones);
    this.close();
    return this.#result(meta, series);
  }

  /** Gives back the memory and the files of a check, finished or not. */
  close(): void {
    this.#index?.close();
    this.#tombstones?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #openKnown(path: string, size: number): FileCheck | undefined {
    if (this.#paths.has(path)) {
      this.#findings.add("file-twice", path, undefined, "the file comes twice");
      return undefined;
    }
    this.#paths.add(path);
    if (path.startsWith("chunks/")) this.#hasChunks = true;
    switch (path) {
      case "meta.json":
        this.#meta = new MetaFile();
        return this.#meta;
      case "index":
        this.#index = new Spool(size);
        return this.#index;
      case "tombstones":
        this.#tombstones = new Spool(size);
        return this.#tombstones;
      default: {
        const segment = this.#segments.open(path);
        if (segment === undefined) this.#unknown(path, "a file");
        return segment;
      }
    }
  }

  #unknown(path: string, what: string): void {
    this.#findings.add("file-unknown", path, undefined, `${what} that is no part of a block`);
  }

  async #checkIndex(meta: BlockMeta | undefined): Promise<Series | undefined> {
    const segments = this.#segments.ordered();
    if (segments.length === 0) {
      const kind = this.#hasChunks ? "chunks-empty" : "chunks-missing";
      this.#findings.add(kind, "chunks", undefined, "the block has no chunks");
    }
    if (this.#index === undefined) {
      this.#findings.add("index-missing", "index", undefined, "the block has no index");
      return undefined;
    }
    const references = new ChunkReferences(segments, this.#findings);
    // Against a range that is empty, every chunk would be wrong.
    const range = this.#findings.has("meta-range") ? undefined : meta;
    const series = await checkIndex(this.#index, range, references, this.#findings);
    if (series !== undefined) references.end(series.complete);
    return series;
  }

  async #checkTombstones(series: Series | undefined): Promise<number | undefined> {
    if (this.#tombstones === undefined) {
      const text = "the block has no tombstones file, not even an empty one";
      this.#findings.add("tombstones-missing", "tombstones", undefined, text);
      return undefined;
    }
    const ids = series?.complete ? series.ids : undefined;
    return checkTombstones(this.#tombstones, ids, this.#findings);
  }

  #compareCounts(
    meta: BlockMeta,
    series: Series | undefined,
    tombstones: number | undefined,
  ): void {
    const encodings = this.#segments.isComplete ? this.#segments.encodings() : undefined;
    const samples = (kind: EncodingCount["holds"]) =>
      encodings?.reduce((sum, { holds, samples }) => (holds === kind ? sum + samples : sum), 0);
    const complete = series?.complete ? series : undefined;
    if (complete !== undefined && complete.chunks > 0)
      compareRange(meta, complete.span, this.#findings);
    const content = {
      series: complete?.ids.length,
      chunks: complete?.chunks,
      floatSamples: samples("floats"),
      histogramSamples: samples("histograms"),
      tombstones,
    };
    compareCounts(meta, content, this.#findings);
  }

  #result(meta: BlockMeta | undefined, series: Series | undefined): BlockResult {
    const encodings = this.#segments.encodings();
    const { list: findings, counts } = this.#findings;
    const found = (of: "error" | "warning") =>
      counts.reduce((sum, { severity, count }) => (severity === of ? sum + count : sum), 0);
    return {
      block: this.#block,
      meta,
      bytes: this.#bytes,
      series: series?.ids.length ?? 0,
      chunks: this.#segments.chunks,
      samples: encodings.reduce((sum, { samples }) => sum + samples, 0),
      encodings,
      findings,
      counts,
      errors: found("error"),
      warnings: found("warning"),
    };
  }
}
