import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { PASSED_OVER } from "../archive/inspect/inspect.ts";
import { type ArchivePlan, archivePath, planArchive } from "../archive/plan.ts";
import { readPlannedFile } from "../archive/planned-file.ts";
import { shown } from "../archive/shown.ts";
import type { TarEntry } from "../archive/tar/reader.ts";
import { startProgress } from "../lib/command-line/progress.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import { checkEntries } from "./check.ts";
import { type LocatedBlocks, locateBlocks } from "./locate.ts";
import type { ReadBackup } from "./read.ts";

/** What else lies in a data directory: samples that are in no block yet, locks, other snapshots. */
const PROMETHEUS_OWN =
  /^(wal|wbl|chunks_head|chunk_snapshot\.\d+\.\d+|lock|queries\.active|snapshots)$/;

/**
 * Checks the blocks in a directory as they would be checked in an archive of it. No symbolic link is
 * followed.
 *
 * @throws Failure if it has no blocks, or something in it can't be read, or changes meanwhile
 */
export async function readDirectory(
  directory: string,
  checks: BlockChecks | undefined,
  signal: AbortSignal,
): Promise<ReadBackup> {
  const located = await locateBlocks(directory);
  const { plans, misplaced } = await planBlocks(located);
  const progress = startProgress(contentBytes(plans));
  try {
    const entries = blockEntries(located.name, plans, signal, progress.add);
    const { report, contents } = await checkEntries(entries, checks, "any");
    const leftOut = plans.flatMap((plan) => plan.leftOut);
    return {
      format: "directory",
      bytes: report.bytes,
      sha256: undefined,
      report: {
        ...report,
        name: located.name,
        errors: [...report.errors, ...misplaced, ...leftOut],
        warnings: [...report.warnings, ...(await besideBlocks(located))],
      },
      contents,
    };
  } finally {
    progress.end();
  }
}

/** @returns also what has a block's name and is none */
async function planBlocks({ blocks }: LocatedBlocks) {
  const plans: ArchivePlan[] = [];
  const misplaced: string[] = [];
  for (const { ulid, path } of blocks) {
    if ((await lstat(path)).isDirectory()) plans.push(await planArchive(path, ulid));
    else misplaced.push(`${ulid} is no directory, but a file or a symbolic link`);
  }
  return { plans, misplaced };
}

function contentBytes(plans: readonly ArchivePlan[]): number {
  let bytes = 0;
  for (const { members } of plans) for (const { size } of members) bytes += size;
  return bytes;
}

/** The members of blocks as an archive would have them, in a directory of that name. */
async function* blockEntries(
  name: string,
  plans: readonly ArchivePlan[],
  signal: AbortSignal,
  read: (bytes: number) => void,
): AsyncGenerator<TarEntry> {
  async function* measured(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      signal.throwIfAborted();
      read(piece.byteLength);
      yield piece;
    }
  }
  yield { path: name, type: "directory", kind: "directory", size: 0, mtime: 0, body: nothing() };
  for (const plan of plans) {
    for (const member of plan.members) {
      const { type, size, mtime } = member;
      const path = join(name, archivePath(plan.name, member.path));
      const body = type === "file" ? measured(readPlannedFile(plan, member)) : nothing();
      yield { path, type, kind: type, size, mtime, body };
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function besideBlocks({ directory, others }: LocatedBlocks): Promise<string[]> {
  const own = others.filter((name) => PROMETHEUS_OWN.test(name));
  const strange = others.filter((name) => !PROMETHEUS_OWN.test(name));
  return [
    ...(own.length > 0 ? [`${own.join(", ")}: Prometheus's own, not checked`] : []),
    ...(await Promise.all(strange.slice(0, 20).map((name) => strangeText(directory, name)))),
    ...(strange.length > 20 ? [`and ${strange.length - 20} more like these`] : []),
  ];
}

async function strangeText(directory: string, name: string): Promise<string> {
  const text = `${shown(name)} is no part of a snapshot`;
  const meta = await lstat(join(directory, name, "meta.json")).catch(() => undefined);
  return meta?.isFile() ? `${text}: it ${PASSED_OVER}` : text;
}
