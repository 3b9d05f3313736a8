import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { decompress } from "../../../src/archive/decompress/decompress.ts";
import { readTar } from "../../../src/archive/tar/reader.ts";
import { BlockCheck, type BlockResult, type CheckLevel } from "../../../src/tsdb/check-block.ts";

const DATA = join(import.meta.dir, "..", "..", "data");

/** A block's files by their paths, which tests damage. */
export interface Block {
  /** The name of the block's directory. */
  readonly name: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Whether it has its directory for chunks, which may be empty; true unless said otherwise. */
  readonly hasChunks?: boolean;
}

/** The block of three samples that the format's description goes through byte by byte. */
export function tinyBlock(): Block {
  const { files } = readBlock(join(DATA, "tiny-block"));
  return { name: "01M8204A0SY5ACHASGKYRYK1T9", files };
}

/** A block of Prometheus 3.5 with chunks of the encodings 1, 2 and 3. */
export async function nativeHistograms(): Promise<Block> {
  const name = "01M821883N5YJA9KPSMKQ70ZWA";
  const files = new Map<string, Uint8Array>();
  const file = Bun.file(join(DATA, "tsdb", "native-histograms.tar.zst"));
  for await (const entry of readTar((await decompress(file.stream())).bytes)) {
    if (entry.type !== "file") continue;
    const bytes = Buffer.concat(await Array.fromAsync(entry.body));
    files.set(entry.path.slice(name.length + 1), new Uint8Array(bytes));
  }
  return { name, files };
}

/** A chunk made by Prometheus 3.14's own code, with what it holds. */
export interface ChunkVector {
  readonly name: string;
  readonly encoding: number;
  readonly samples: number;
  readonly first: number;
  readonly last: number;
  /** What follows the encoding byte. */
  readonly data: Uint8Array;
}

export function chunkVectors(): ChunkVector[] {
  const packed = readFileSync(join(DATA, "tsdb", "chunk-vectors.jsonl.zst"));
  const lines = Bun.zstdDecompressSync(packed).toString().trim().split("\n");
  return lines.map((line) => {
    const { name, enc, n, first, last, hex } = JSON.parse(line);
    const data = new Uint8Array(Buffer.from(hex, "hex"));
    return { name, encoding: enc, samples: n, first, last, data };
  });
}

/** Reads a block from its directory. */
export function readBlock(directory: string): Block {
  const files = new Map<string, Uint8Array>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(directory.length + 1), new Uint8Array(readFileSync(path)));
  }
  return { name: directory.slice(directory.lastIndexOf("/") + 1), files };
}

/** Writes a block to where its directory shall be. */
export function writeTo(directory: string, block: Block): void {
  mkdirSync(join(directory, "chunks"), { recursive: true });
  if (block.hasChunks === false) rmSync(join(directory, "chunks"), { recursive: true });
  for (const [path, bytes] of block.files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
}

/** The content of one of a block's files. */
export function content(block: Block, path: string): Uint8Array {
  const bytes = block.files.get(path);
  if (bytes === undefined) throw new Error(`the block has no ${path}`);
  return bytes;
}

/** The block with one file changed; without it for `undefined`. */
export function withFile(block: Block, path: string, bytes: Uint8Array | undefined): Block {
  const files = new Map(block.files);
  if (bytes === undefined) files.delete(path);
  else files.set(path, bytes);
  return { ...block, files };
}

/** The block with the meta.json changed. */
export function withMeta(block: Block, change: (meta: Record<string, unknown>) => unknown): Block {
  const meta = JSON.parse(new TextDecoder().decode(content(block, "meta.json")));
  change(meta);
  return withFile(block, "meta.json", new TextEncoder().encode(JSON.stringify(meta)));
}

/** The bytes with one of them, counted from the end if negative, set or changed by a function. */
export function withByte(
  bytes: Uint8Array,
  at: number,
  value: number | ((byte: number) => number),
): Uint8Array {
  const index = at < 0 ? bytes.length + at : at;
  const changed = bytes.slice();
  changed[index] = typeof value === "number" ? value : value(changed[index] ?? 0);
  return changed;
}

/** The bytes with one bit turned, counted over all of them. */
export function withFlippedBit(bytes: Uint8Array, bit: number): Uint8Array {
  return withByte(bytes, bit >>> 3, (byte) => byte ^ (1 << (bit & 7)));
}

export interface CheckOptions {
  readonly level?: CheckLevel;
  /** The order in which the files come; that of an archive by default. */
  readonly order?: readonly string[];
  /** How long the pieces of the files are. */
  readonly piece?: number;
}

/** Checks a block as it would come from an archive. */
export async function check(block: Block, options: CheckOptions = {}): Promise<BlockResult> {
  using blockCheck = new BlockCheck(block.name, options.level ?? "structure");
  if (block.hasChunks ?? true) blockCheck.directory("chunks");
  for (const path of options.order ?? [...block.files.keys()].sort()) {
    await blockCheck.file(path, pieces(content(block, path), options.piece ?? 256 * 1024));
  }
  return await blockCheck.finish();
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** The kinds of what was found, each once. */
export function kinds(result: BlockResult): string[] {
  return result.counts.map(({ kind }) => kind);
}
