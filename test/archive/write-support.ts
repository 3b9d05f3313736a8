import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ARCHIVE_FORMATS, type ArchiveFormat } from "../../src/archive/format.ts";
import { planArchive } from "../../src/archive/plan.ts";
import {
  type Compressor,
  type CompressorOptions,
  createCompressor,
  writeArchive,
} from "../../src/archive/write.ts";
import { atEnd } from "../support/at-end.ts";

export const FORMATS = ARCHIVE_FORMATS;
export const NAME = "20261122T155836Z-16a76bfa17aabbcc";
export const MIB = 1024 * 1024;
export const WORKER_URL = new URL("../../src/archive/compress/worker.ts", import.meta.url);

/** Ends with the test, or with the test file when called outside of a test. */
export function makeCompressor(options: Partial<CompressorOptions> = {}): Compressor {
  const compressor = createCompressor({ threads: 2, workerUrl: WORKER_URL, ...options });
  atEnd(() => compressor.close());
  return compressor;
}

/** Makes a snapshot below `root` of files by their paths, and answers its path. */
export function makeFiles(
  root: string,
  files: Readonly<Record<string, Uint8Array | string>>,
  name = NAME,
): string {
  const snapshot = join(root, name);
  mkdirSync(snapshot, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    const file = join(snapshot, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return snapshot;
}

/** A started archive of a snapshot. */
export async function startArchive(
  snapshot: string,
  format: ArchiveFormat,
  compressor: Compressor,
  signal?: AbortSignal,
): Promise<AsyncGenerator<Uint8Array, void>> {
  const plan = await planArchive(snapshot, snapshot.slice(snapshot.lastIndexOf("/") + 1));
  return writeArchive(plan, format, compressor, signal);
}

/** All chunks of an archive, kept as they came until the last one is there. */
export async function chunksOf(
  snapshot: string,
  format: ArchiveFormat,
  compressor: Compressor,
): Promise<Uint8Array[]> {
  return Array.fromAsync(await startArchive(snapshot, format, compressor));
}

export async function archiveOf(
  snapshot: string,
  format: ArchiveFormat,
  compressor: Compressor,
): Promise<Uint8Array> {
  return Buffer.concat(await chunksOf(snapshot, format, compressor));
}

/** The message of what an archive fails with, and how many bytes came before. */
export async function failure(
  archive: AsyncGenerator<Uint8Array, void>,
): Promise<{ message: string; bytes: Uint8Array }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of archive) chunks.push(chunk);
  } catch (error) {
    return {
      message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      bytes: Buffer.concat(chunks),
    };
  }
  throw new Error("the archive did not fail");
}

/** What this process has open below a directory. */
function openBelow(directory: string): string[] {
  return readdirSync("/proc/self/fd")
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ""; // The descriptor of the listing itself.
      }
    })
    .filter((target) => target.startsWith(directory));
}

/**
 * Waits until this process has nothing open below a directory. Bun closes its own duplicate of a
 * cancelled file's descriptor as soon as the read that was under way has ended.
 */
export async function allClosed(directory: string): Promise<void> {
  for (let left = openBelow(directory); left.length > 0; left = openBelow(directory)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Bytes that no compressor makes smaller, the same in each run. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Bytes that a compressor makes about half as large, harder with higher levels; the same in each run. */
export function mixed(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = noise(length, seed);
  for (let i = 64; i < length; i++) if (i % 96 < 48) bytes[i] = bytes[i - 64] ?? 0;
  return bytes;
}
