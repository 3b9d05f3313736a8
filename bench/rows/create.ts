import { mkdtempSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ARCHIVE_FORMATS, type ArchiveFormat } from "../../src/archive/format.ts";
import { CACHE, snapshotOf } from "../data/snapshots.ts";
import { download, PROGRAMS, startServer, timed, warmUp } from "../processes.ts";
import { mebibytes, median, printTable, seconds } from "../report.ts";
import type { Scale } from "../scale.ts";

/**
 * `prombackup create`, to memory and to a disk: the second is with the disk's writing and sync. Beside
 * it the archive's own time, by curl.
 */
export async function measureCreate({ bytes, runs }: Scale): Promise<void> {
  const snapshot = await snapshotOf("dense", bytes);
  const directories = {
    memory: mkdtempSync("/dev/shm/prombackup-bench-"),
    disk: mkdtempSync(join(CACHE, "create-")),
  };
  const server = await startServer(snapshot);
  const create = async (format: ArchiveFormat, directory: string) => {
    const output = join(directory, "archive");
    const options = ["--server", server.url, "--format", format, "--output", output];
    const taken = await timed([join(PROGRAMS, "prombackup"), "create", ...options]);
    const { size } = statSync(output);
    rmSync(output);
    return { ...taken, size };
  };
  try {
    const rows: string[][] = [];
    for (const format of ARCHIVE_FORMATS) {
      const [own, memory, disk]: number[][] = [[], [], []];
      let [peak, size] = [0, 0];
      await warmUp(server, snapshot.name, format);
      for (let i = 0; i < runs; i++) {
        own?.push((await download(server, snapshot.name, format)).seconds);
        const inMemory = await create(format, directories.memory);
        memory?.push(inMemory.seconds);
        const onDisk = await create(format, directories.disk);
        disk?.push(onDisk.seconds);
        peak = Math.max(peak, inMemory.peak, onDisk.peak);
        size = onDisk.size;
      }
      const ratio = median(memory ?? []) / median(own ?? []);
      rows.push([
        format,
        `${(size / 1e6).toFixed(0)} MB`,
        ...[own, memory, disk].map((values) => seconds(median(values ?? []))),
        ratio.toFixed(2),
        "1.10",
        mebibytes(peak),
        "128 MiB",
      ]);
    }
    printTable(
      "prombackup create",
      [
        ...[
          "format",
          "archive",
          "by curl, to nothing",
          "create, to memory",
          "create, to disk, synced",
        ],
        ...["ratio of create to memory", "to reach", "peak RSS", "to reach"],
      ],
      rows,
    );
  } finally {
    await server.stop();
    for (const directory of Object.values(directories)) rmSync(directory, { recursive: true });
  }
}
