import { afterAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { BlockContents, type ContentReport } from "../../../src/archive/inspect/check-blocks.ts";
import type { TarEntry } from "../../../src/archive/tar/reader.ts";
import { type BlockChecks, checksHere } from "../../../src/tsdb/checks.ts";
import { CheckPool } from "../../../src/tsdb/pool/check-pool.ts";
import { tempDir } from "../../support/temp.ts";
import { type Block, nativeHistograms, tinyBlock } from "../support/blocks.ts";
import { DAMAGES } from "../support/damages.ts";
import { randoms } from "../support/random.ts";

const WORKER_URL = pathToFileURL(resolve(import.meta.dir, "../../../src/tsdb/pool/worker.ts"));

const pool = new CheckPool(WORKER_URL, 3);
afterAll(() => pool.close());

/** Every fixture, sound and damaged, as blocks of one snapshot, the large one between the small. */
async function allBlocks(): Promise<Block[]> {
  const tiny = tinyBlock();
  const damaged = DAMAGES.map(({ make }) => make(tiny));
  const half = damaged.length >> 1;
  const native = await nativeHistograms();
  return [tiny, ...damaged.slice(0, half), native, ...damaged.slice(half), native];
}

/** Each under a ULID of its own. */
async function* entriesOf(blocks: readonly Block[], piece: number): AsyncGenerator<TarEntry> {
  for (const [index, block] of blocks.entries()) {
    const top = `snapshot/01M8204A0SY5ACHASGKYR${String(index).padStart(5, "0")}`;
    if (block.hasChunks ?? true) yield entry(`${top}/chunks`, undefined, piece);
    for (const [path, bytes] of block.files) yield entry(`${top}/${path}`, bytes, piece);
  }
}

function entry(path: string, bytes: Uint8Array | undefined, piece: number): TarEntry {
  const type = bytes === undefined ? "directory" : "file";
  async function* body() {
    // What the reader hands out is good until it is asked for more.
    const buffer = new Uint8Array(piece);
    for (let at = 0; at < (bytes?.length ?? 0); at += piece) {
      const part = bytes?.subarray(at, at + piece) ?? new Uint8Array();
      buffer.set(part);
      yield buffer.subarray(0, part.length);
      buffer.fill(0xee);
    }
  }
  return { path, type, kind: type, size: bytes?.length ?? 0, mtime: 0, body: body() };
}

async function checkAll(
  checks: BlockChecks,
  blocks: readonly Block[],
  piece: number,
): Promise<ContentReport> {
  const contents = new BlockContents(checks);
  for await (const { body } of contents.watch(entriesOf(blocks, piece))) {
    for await (const _ of body);
  }
  return contents.report();
}

describe.each(["structure", "full"] as const)("at level %s", (level) => {
  test.each([1000, 256 * 1024, 700_000])(
    "threads find what one thread finds, in its order, with pieces of %d bytes",
    async (piece) => {
      const blocks = await allBlocks();
      const here = await checkAll(checksHere(level), blocks, piece);
      expect(here.blocks.length).toBe(blocks.length);
      expect(await checkAll(pool.checks(level), blocks, piece)).toEqual(here);
    },
  );

  test("so they do for several streams at once", async () => {
    const blocks = await allBlocks();
    const here = await checkAll(checksHere(level), blocks, 256 * 1024);
    const streams = Array.from({ length: 5 }, () => checkAll(pool.checks(level), blocks, 100_000));
    for (const report of await Promise.all(streams)) expect(report).toEqual(here);
  });
});

test("a stream that stalls holds up no other", async () => {
  const stalled = pool.checks("structure");
  const bytes = new Uint8Array(1_000_000).fill(1);
  const open = Array.from({ length: 10 }, (_, i) => stalled.begin(`stalled ${i}`));
  for (const check of open) await check.open("chunks/000001", bytes.length).push(bytes);
  const tiny = [tinyBlock()];
  expect((await checkAll(pool.checks("full"), tiny, 100)).blocks).toMatchObject([{ samples: 3 }]);
  for (const check of open) check.close();
});

test("what is given up in the middle leaves the others alone", async () => {
  const random = randoms("checks that are given up");
  const blocks = await allBlocks();
  for (let i = 0; i < 30; i++) {
    const contents = new BlockContents(pool.checks("structure"));
    let members = random.below(200);
    for await (const { body } of contents.watch(entriesOf(blocks, 50_000))) {
      for await (const _ of body) if (members-- <= 0) break;
      if (members < 0) break;
    }
  }
  expect((await checkAll(pool.checks("structure"), [tinyBlock()], 100)).blocks).toMatchObject([
    { samples: 3, errors: 0 },
  ]);
});

test.each([
  ["that throws", 'self.onmessage = ({ data }) => { if (!data.pieces) throw new Error("bug") }'],
  ["that ends", "self.onmessage = ({ data }) => { if (!data.pieces) process.exit(1) }"],
  ["that can't be loaded", "import './nowhere.ts'"],
])("a worker %s is a failure, not a wait", async (_, source) => {
  const file = `${tempDir()}/worker.ts`;
  await Bun.write(file, source);
  const broken = new CheckPool(pathToFileURL(file), 2);
  const checked = checkAll(broken.checks("structure"), [await nativeHistograms()], 100_000);
  await expect(checked).rejects.toThrow(/^the checking worker failed: /);
  broken.close();
});

test("a pool that was closed checks nothing", async () => {
  const closed = new CheckPool(WORKER_URL, 1);
  const check = closed.checks("structure").begin("some block");
  closed.close();
  await expect(check.finish()).rejects.toThrow("the check was closed");
  expect(() => closed.checks("structure").begin("another")).toThrow("the check was closed");
});
