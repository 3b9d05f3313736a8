import { ARCHIVE_FORMATS, type ArchiveFormat } from "../../src/archive/format.ts";
import { type BenchSnapshot, KINDS, type Kind, snapshotOf } from "../data/snapshots.ts";
import {
  download,
  type MeasuredServer,
  startServer,
  type Taken,
  timed,
  warmUp,
} from "../processes.ts";
import { mebibytes, median, printTable, seconds } from "../report.ts";
import type { Scale } from "../scale.ts";

/** What the archives are measured against: a shell's way to make one and prove it. */
const REFERENCES: Record<ArchiveFormat, { readonly pipe: string; readonly part: number }> = {
  tar: { pipe: "sha256sum", part: 1 },
  // Of an eighth of the data, and counted eight times: it takes a minute and a half for all.
  tgz: { pipe: "gzip -6 | sha256sum", part: 8 },
  tzst: { pipe: "zstd -1 -q | sha256sum", part: 1 },
};

/** Of the reference's time, and of the data's size. */
const GOALS: Record<
  Kind,
  Record<ArchiveFormat, { readonly time: number; readonly size: number }>
> = {
  dense: {
    tar: { time: 0.3, size: 1.01 },
    tgz: { time: 0.7 * 0.12, size: 0.92 },
    tzst: { time: 0.7 * 0.54, size: 0.943 },
  },
  scraped: {
    tar: { time: 0.3, size: 1.01 },
    tgz: { time: 0.7 * 0.18, size: 0.419 },
    tzst: { time: 0.7, size: 0.341 },
  },
};

interface Run {
  readonly seconds: number;
  readonly cpu: number;
  readonly peak: number;
  readonly size: number;
  readonly reference: Taken;
}

/** Snapshot on disk, in the page cache, to bytes at a client; and the same by a pipeline, in turn. */
export async function measureArchives(scale: Scale): Promise<void> {
  const rows: string[][] = [];
  for (const kind of KINDS) {
    const snapshot = await snapshotOf(kind, scale.bytes);
    // Reads it into the page cache.
    await reference(snapshot, "tar");
    for (const format of ARCHIVE_FORMATS) {
      rows.push(row(kind, format, await measure(snapshot, format, scale.runs)));
    }
  }
  printTable(
    `Archives of ${(scale.bytes / 1e9).toFixed(1)} GB, with --compress-threads 2`,
    [
      ...["data", "format", "time", "reference", "ratio", "to reach", "size", "to reach"],
      ...["CPU of the server", "CPU of the reference", "peak RSS"],
    ],
    rows,
  );
}

async function measure(
  snapshot: BenchSnapshot,
  format: ArchiveFormat,
  count: number,
): Promise<Run[]> {
  const server = await startServer(snapshot);
  const runs: Run[] = [];
  try {
    await warmUp(server, snapshot.name, format);
    for (let i = 0; i < count; i++) {
      const served = await serve(server, snapshot, format);
      runs.push({ ...served, reference: await reference(snapshot, format) });
    }
    return runs;
  } finally {
    await server.stop();
  }
}

async function serve(server: MeasuredServer, snapshot: BenchSnapshot, format: ArchiveFormat) {
  const before = server.cpu();
  const { seconds, bytes } = await download(server, snapshot.name, format);
  const cpu = server.cpu() - before;
  return { seconds, size: bytes / snapshot.bytes, cpu, peak: server.peak() };
}

async function reference(
  { snapshotDir, name, bytes }: BenchSnapshot,
  format: ArchiveFormat,
): Promise<Taken> {
  const { pipe, part } = REFERENCES[format];
  const cut = part === 1 ? "" : `head -c ${Math.floor(bytes / part)} | `;
  const taken = await timed(["sh", "-c", `tar -C ${snapshotDir} -c ${name} | ${cut}${pipe}`]);
  return { seconds: taken.seconds * part, cpu: taken.cpu * part, peak: taken.peak };
}

function row(kind: Kind, format: ArchiveFormat, runs: readonly Run[]): string[] {
  const of = (pick: (run: Run) => number) => median(runs.map(pick));
  const goal = GOALS[kind][format];
  return [
    kind,
    format,
    seconds(of((run) => run.seconds)),
    seconds(of((run) => run.reference.seconds)),
    of((run) => run.seconds / run.reference.seconds).toFixed(3),
    goal.time.toFixed(3),
    of((run) => run.size).toFixed(3),
    goal.size.toFixed(3),
    seconds(of((run) => run.cpu)),
    seconds(of((run) => run.reference.cpu)),
    mebibytes(Math.max(...runs.map((run) => run.peak))),
  ];
}
