import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { obtainPrometheus } from "../../scripts/prometheus.ts";
import { run } from "../../scripts/run.ts";
import { scrapeExporters } from "./exporters.ts";
import { writeDense, writeFleet } from "./openmetrics.ts";

/**
 * `dense`: random walks, two bytes a sample, hardly compressible. `scraped`: the series of two real
 * exporters, about a byte a sample, most of them constant or counters.
 */
export const KINDS = ["dense", "scraped"] as const;
export type Kind = (typeof KINDS)[number];

/** A snapshot directory with one snapshot in it. */
export interface BenchSnapshot {
  readonly snapshotDir: string;
  readonly name: string;
  /** Bytes of all files. */
  readonly bytes: number;
  readonly files: number;
}

export const CACHE = resolve(import.meta.dir, "../../.cache/bench");
const NAME = "20261122T155836Z-16a76bfa17aabbcc";

/**
 * A snapshot of about so many bytes: copies of a real block, each under a ULID of its own and with
 * disk and page cache of its own. Made once and kept in the project's cache folder.
 */
export async function snapshotOf(kind: Kind, bytes: number): Promise<BenchSnapshot> {
  const block = await templateBlock(kind);
  const blocks = Math.max(1, Math.round(bytes / measure(block).bytes));
  return makeOnce(`${kind}-${blocks}`, (snapshot) => {
    for (let i = 0; i < blocks; i++) copyBlock(block, snapshot, i, cpSync);
  });
}

/** The blocks of a snapshot so many times over, by hard links: a large one that takes no disk. */
export function repeated(from: BenchSnapshot, times: number): BenchSnapshot {
  const source = join(from.snapshotDir, from.name);
  const blocks = readdirSync(source);
  return makeOnce(`repeated-${from.files}-${from.bytes}-${times}`, (snapshot) => {
    for (let i = 0; i < times * blocks.length; i++) {
      const block = join(source, blocks[i % blocks.length] ?? "");
      copyBlock(block, snapshot, i, (file, to) => linkSync(file, to));
    }
  });
}

/** A snapshot of so many blocks, each with a meta.json, an index, tombstones and chunk files. */
export function smallFiles(blocks: number, filesEach: number, bytes: number): BenchSnapshot {
  const size = Math.floor(bytes / (blocks * filesEach));
  return makeOnce(`blocks-${blocks}-${filesEach}-${size}`, (snapshot) => {
    for (let i = 0; i < blocks; i++) {
      const block = join(snapshot, ulid(i));
      mkdirSync(join(block, "chunks"), { recursive: true });
      writeFileSync(join(block, "meta.json"), metaJson(ulid(i)));
      for (const name of ["index", "tombstones"]) fill(join(block, name), size);
      for (let chunk = 1; chunk <= filesEach - 3; chunk++) {
        fill(join(block, "chunks", String(chunk).padStart(6, "0")), size);
      }
    }
  });
}

/** What a server looks at. */
function metaJson(name: string): string {
  const compaction = { level: 1, sources: [name] };
  return JSON.stringify({ ulid: name, minTime: 0, maxTime: 7_200_000, compaction, version: 1 });
}

/** Half random, half zeros, evenly, so that small files are like large ones. */
function fill(file: string, size: number): void {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1024) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 512, size)));
  }
  writeFileSync(file, bytes);
}

function makeOnce(key: string, make: (snapshot: string) => void): BenchSnapshot {
  const snapshotDir = join(CACHE, key);
  const snapshot = join(snapshotDir, NAME);
  if (!existsSync(snapshot)) {
    console.error(`making ${snapshotDir} ...`);
    const part = `${snapshot}.part`;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    make(part);
    renameSync(part, snapshot);
  }
  return { snapshotDir, name: NAME, ...measure(snapshot) };
}

function measure(directory: string): { bytes: number; files: number } {
  let [bytes, files] = [0, 0];
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
    files++;
  }
  return { bytes, files };
}

function copyBlock(
  block: string,
  snapshot: string,
  index: number,
  copy: (file: string, to: string) => void,
): void {
  const target = join(snapshot, ulid(index));
  mkdirSync(join(target, "chunks"), { recursive: true });
  for (const name of ["index", "tombstones"]) copy(join(block, name), join(target, name));
  for (const name of readdirSync(join(block, "chunks"))) {
    copy(join(block, "chunks", name), join(target, "chunks", name));
  }
  const meta: Record<string, unknown> = JSON.parse(readFileSync(join(block, "meta.json"), "utf8"));
  writeFileSync(
    join(target, "meta.json"),
    JSON.stringify({ ...meta, ulid: ulid(index) }, null, "\t"),
  );
}

function ulid(index: number): string {
  return `01HF${String(index).padStart(22, "0")}`;
}

/** One real block, made by promtool. */
export async function templateBlock(kind: Kind): Promise<string> {
  const target = join(CACHE, `block-${kind}`);
  if (existsSync(target)) return target;
  console.error(`making a block of ${kind} data ...`);
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(join(tmpdir(), "prombackup-bench-"));
  try {
    const { promtool } = await obtainPrometheus();
    const [file, dataDir] = [join(scratch, "metrics.txt"), join(scratch, "data")];
    if (kind === "dense") writeDense(file, { series: 4000, samples: 1440, stepSeconds: 5 });
    else writeFleet(file, await scrapeExporters(200), { hosts: 80, samples: 120, ownPace: 0.35 });
    await run([promtool, "tsdb", "create-blocks-from", "openmetrics", file, dataDir]);
    const [block = ""] = readdirSync(dataDir);
    // The scratch may be on another disk; what has this name is whole.
    cpSync(join(dataDir, block), `${target}.part`, { recursive: true });
    renameSync(`${target}.part`, target);
    return target;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
