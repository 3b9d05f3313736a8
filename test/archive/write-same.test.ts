import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { decodeHeader } from "../../src/archive/tar/decode.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { flipped, output, seeded } from "./read-support.ts";
import {
  archiveOf,
  chunksOf,
  FORMATS,
  MIB,
  makeCompressor,
  makeFiles,
  noise,
} from "./write-support.ts";

setDefaultTimeout(120_000);

const root = tempDir();
let first: string;
let second: string;

beforeAll(() => {
  const shared = { "b/chunks/000001": noise(5 * MIB + 77), "b/index": noise(MIB + 1, 2) };
  first = makeFiles(root, shared, "aa-1");
  // Other things come before what the two share, and shift it by an odd number of bytes.
  const before = { "a/chunks/000001": noise(3 * MIB + 5, 3), "a/meta.json": "{}" };
  second = makeFiles(root, before, "second-snapshot");
  cpSync(join(first, "b"), join(second, "b"), { recursive: true, preserveTimestamps: true });
});

describe.each(FORMATS)("%s", (format) => {
  test("is the same each time, whatever else runs and on however many threads", async () => {
    const one = makeCompressor({ threads: 1 });
    const three = makeCompressor({ threads: 3 });
    const alone = await archiveOf(second, format, one);
    const others = await Promise.all(
      [one, one, three, three].map((compressor) => archiveOf(second, format, compressor)),
    );
    for (const other of others) expect(Buffer.compare(alone, other)).toBe(0);
  });

  test("chunks are of at most 1 MiB, each in memory of its own", async () => {
    const chunks = await chunksOf(second, format, makeCompressor());
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(MIB);
    expect(new Set(chunks.map((chunk) => chunk.buffer)).size).toBe(chunks.length);
  });
});

const MAGIC = { tgz: [0x1f, 0x8b, 8], tzst: [0x28, 0xb5, 0x2f, 0xfd] };
const DECOMPRESS = { tgz: gunzipSync, tzst: zstdDecompressSync };
type Compressed = keyof typeof MAGIC;

/** Gzip's members or zstd's frames. Each starts in a chunk of its own. */
async function membersOf(snapshot: string, format: Compressed): Promise<Buffer<ArrayBuffer>[]> {
  const magic = Buffer.from(MAGIC[format]);
  const members: Buffer<ArrayBuffer>[] = [];
  for (const chunk of await chunksOf(snapshot, format, makeCompressor())) {
    if (magic.equals(chunk.subarray(0, magic.length))) members.push(Buffer.from(chunk));
    else members.push(Buffer.concat([members.pop() ?? Buffer.alloc(0), chunk]));
  }
  return members;
}

describe.each(["tgz", "tzst"] as const)("%s", (format) => {
  test("equal files are equal runs in two snapshots, each after a header of its own", async () => {
    const members = await membersOf(first, format);
    const other = Buffer.from(await archiveOf(second, format, makeCompressor()));
    for (const path of ["b/chunks/000001", "b/index"]) {
      const content = readFileSync(join(first, path));
      const run = runAfter(members, `aa-1/${path}`, content.length);
      expect(Buffer.compare(DECOMPRESS[format](run), content)).toBe(0);
      expect(other.includes(run)).toBe(true);
    }
  });

  /** The members that hold the bytes after that which holds a file's header and nothing more. */
  function runAfter(members: Buffer<ArrayBuffer>[], path: string, length: number) {
    const contents = members.map((member) => DECOMPRESS[format](member));
    const header = contents.findIndex((bytes) => bytes.length === 512 && nameOf(bytes) === path);
    let end = header + 1;
    for (let rest = length; rest > 0; end++) rest -= contents[end]?.length ?? Infinity;
    return Buffer.concat(members.slice(header + 1, end));
  }
});

function nameOf(block: Uint8Array): string | undefined {
  try {
    return new TextDecoder().decode(decodeHeader(block).name);
  } catch {
    return undefined;
  }
}

test("no gzip member has a clock", async () => {
  const members = await membersOf(second, "tgz");
  expect(members.length).toBeGreaterThan(10);
  for (const member of members) {
    expect([...member.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
  }
});

test.skipIf(!needs("zstd"))("zstd -t finds any flipped bit that changes the content", async () => {
  const small = makeFiles(tempDir(), { "b/index": noise(3000), "b/meta.json": "{}".repeat(200) });
  const compressor = makeCompressor();
  const archive = await archiveOf(small, "tzst", compressor);
  const content = await archiveOf(small, "tar", compressor);
  const random = seeded(5);
  for (let i = 0; i < 150; i++) {
    const damaged = flipped(archive, Math.floor(random() * archive.length * 8));
    const read = Bun.spawnSync(["zstd", "-dcq"], { stdin: damaged });
    if (read.success) expect(Buffer.compare(read.stdout, content)).toBe(0);
    else expect(() => output(["zstd", "-qt"], { input: damaged })).toThrow();
  }
});
