import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { linkSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { allocate, free, LARGEST_PIECE } from "../../src/archive/buffers.ts";
import type { ArchiveFormat } from "../../src/archive/format.ts";
import { planArchive } from "../../src/archive/plan.ts";
import { writeArchive } from "../../src/archive/write.ts";
import { tempDir } from "../support/temp.ts";
import { readAll, seeded } from "./read-support.ts";
import {
  allClosed,
  archiveOf,
  FORMATS,
  failure,
  MIB,
  makeCompressor,
  makeFiles,
  NAME,
  noise,
  startArchive,
  WORKER_URL,
} from "./write-support.ts";

setDefaultTimeout(120_000);

const root = tempDir();
let snapshot: string;

beforeAll(() => {
  snapshot = makeFiles(root, {
    "a/chunks/000001": noise(9 * MIB + 1),
    "a/index": noise(300_000, 2),
    "a/meta.json": "{}",
    "b/chunks/000001": noise(5 * MIB, 3),
  });
});

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Takes some bytes, and leaves the rest for later. */
async function take(archive: AsyncGenerator<Uint8Array, void>, bytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let rest = bytes; rest > 0; ) {
    const { value } = await archive.next();
    if (!value) break;
    chunks.push(value);
    rest -= value.length;
  }
  return Buffer.concat(chunks);
}

describe.each(FORMATS)("%s", (format) => {
  test("a hundred consumers that leave at a random byte leave nothing behind", async () => {
    const compressor = makeCompressor();
    const whole = await archiveOf(snapshot, format, compressor);
    await allClosed(root);
    const before = descriptors();
    const random = seeded(4);
    const leave = async () => {
      const archive = await startArchive(snapshot, format, compressor);
      await take(archive, random() * whole.length);
      // Every other one leaves while it waits for a chunk.
      const pending = random() < 0.5 ? archive.next() : undefined;
      await archive.return();
      await pending;
    };
    for (let i = 0; i < 25; i++) await Promise.all([leave(), leave(), leave(), leave()]);
    await allClosed(root);
    expect(descriptors()).toBeLessThanOrEqual(before);
    expect(Buffer.compare(await archiveOf(snapshot, format, compressor), whole)).toBe(0);
  });

  test("stalled consumers hold up no other, and go on where they were", async () => {
    const compressor = makeCompressor();
    const whole = await archiveOf(snapshot, format, compressor);
    const stalled = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const archive = await startArchive(snapshot, format, compressor);
        return { archive, start: await take(archive, i * MIB) };
      }),
    );
    expect(Buffer.compare(await archiveOf(snapshot, format, compressor), whole)).toBe(0);
    for (const { archive, start } of stalled) {
      expect(Buffer.concat([start, await readAll(archive)]).equals(whole)).toBe(true);
    }
  });

  test("an abort ends it with the signal's reason", async () => {
    const aborter = new AbortController();
    const archive = await startArchive(snapshot, format, makeCompressor(), aborter.signal);
    await archive.next();
    aborter.abort(new Error("the client left"));
    expect((await failure(archive)).message).toBe("Error: the client left");
    await allClosed(root);
  });

  test("an archive that nobody starts to read holds nothing", async () => {
    const archive = await startArchive(snapshot, format, makeCompressor());
    await archive.return();
    await allClosed(root);
  });

  test.each(["whole", "in part"])("what it read is freed when it was taken %s", async (taken) => {
    const small = makeFiles(tempDir(), { a: noise(50_000), b: noise(300_000), c: noise(50_000) });
    const read: Uint8Array[] = [];
    const see = { push: (bytes: Uint8Array) => void read.push(bytes), end() {} };
    const watcher = { begin: async () => see, end: async () => {}, close() {} };
    const plan = await planArchive(small, NAME);
    const archive = writeArchive(plan, format, makeCompressor(), undefined, watcher);
    if (taken === "whole") for await (const chunk of archive) free(chunk);
    else {
      const { value } = await archive.next();
      if (value) free(value);
      await archive.return();
    }
    expect(read.length).toBeGreaterThan(0);
    // Small memory is gone, and large memory is there for the next.
    const next = new Set<ArrayBufferLike>();
    for (let i = 0; i < 8; i++) next.add(allocate(LARGEST_PIECE).buffer);
    const lost = read.filter(({ buffer, byteLength }) => byteLength > 0 && !next.has(buffer));
    expect(lost).toEqual([]);
  });

  test("takes little memory, and the process ends by itself afterwards", () => {
    const big = makeFiles(tempDir(), { "000000": noise(32 * MIB) });
    for (let i = 1; i < 16; i++) linkSync(join(big, "000000"), join(big, `00000${i}`));
    const { bytes, peak } = inProcess(big, format);
    expect(bytes).toBeGreaterThan(400 * MIB);
    // A third or half of it is Bun itself; what matters is that it isn't the half gigabyte.
    expect(peak).toBeLessThan(220 * MIB);
  });
});

const ARCHIVE_IT = `
import { readFileSync } from "node:fs";
import { createCompressor, writeArchive } from "${join(import.meta.dir, "../../src/archive/write.ts")}";
import { free } from "${join(import.meta.dir, "../../src/archive/buffers.ts")}";
import { planArchive } from "${join(import.meta.dir, "../../src/archive/plan.ts")}";
const [, directory, format] = process.argv;
const compressor = createCompressor({ threads: 2, workerUrl: "${WORKER_URL}" });
const hash = new Bun.CryptoHasher("sha256");
let bytes = 0;
for await (const chunk of writeArchive(await planArchive(directory, "aa-bb"), format, compressor)) {
  hash.update(chunk);
  bytes += chunk.length;
  free(chunk);
}
const peak = 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
console.log(JSON.stringify({ bytes, peak }));`;

/** Archives in a process of its own, which doesn't close the compressor. */
function inProcess(directory: string, format: ArchiveFormat): { bytes: number; peak: number } {
  const child = Bun.spawnSync([process.execPath, "-e", ARCHIVE_IT, directory, format]);
  if (!child.success) throw new Error(child.stderr.toString());
  return JSON.parse(child.stdout.toString());
}
