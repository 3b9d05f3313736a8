import { expect, test } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listSnapshots } from "../../src/snapshots/list.ts";
import { lockShared } from "../../src/snapshots/lock.ts";
import { removeSnapshot } from "../../src/snapshots/remove.ts";
import {
  bunCommand,
  flockFromOutside,
  makeBlock,
  makeSnapshot,
  snapshotDirectory,
  start,
  ulid,
} from "./support.ts";

const NAME = "20260101T000000Z-aaaa";

/** What `du` counts: the lengths of all regular files below. */
function bytesBelow(path: string): number {
  const { stdout } = Bun.spawnSync(["find", path, "-type", "f", "-printf", "%s\n"]);
  return stdout
    .toString()
    .split("\n")
    .reduce((sum, line) => sum + Number(line), 0);
}

test("tells name, time, blocks, bytes, the range of the data, and whether it is in use", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME, 0);
  makeBlock(path, { ulid: ulid(1), minTime: 2000, maxTime: 3000 });
  makeBlock(path, { ulid: ulid(2), minTime: 1000, maxTime: 2000 });
  makeBlock(path, { ulid: ulid(3), minTime: 3000, maxTime: 3500 });
  const lock = await lockShared(directory, NAME);
  const expected = {
    name: NAME,
    time: new Date("2026-01-01T00:00:00Z"),
    blocks: 3,
    bytes: bytesBelow(path),
    minTime: 1000,
    maxTime: 3500,
  };
  expect(await listSnapshots(directory)).toEqual([{ ...expected, inUse: true }]);
  lock.release();
  expect(await listSnapshots(directory)).toEqual([{ ...expected, inUse: false }]);
});

test("another process's lock is seen", async () => {
  const directory = snapshotDirectory();
  const other = await flockFromOutside(makeSnapshot(directory, NAME), "shared");
  expect((await listSnapshots(directory))[0]?.inUse).toBe(true);
  await other.kill();
  expect((await listSnapshots(directory))[0]?.inUse).toBe(false);
});

test("newest first, then by name; without a time, last", async () => {
  const directory = snapshotDirectory();
  const ordered = [
    "20260301T000000Z-a",
    "20260201T000000Z-a",
    "20260201T000000Z-b",
    "20260101T000000Z-z",
    "aaa-bbb",
    "zzz-bbb",
  ];
  for (const name of [...ordered].reverse()) makeSnapshot(directory, name);
  expect((await listSnapshots(directory)).map(({ name }) => name)).toEqual(ordered);
});

test("what is no snapshot is left out, links and leftovers too", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  makeSnapshot(directory, ".prombackup-deleting-aaa-bbb");
  makeSnapshot(directory, "lost+found");
  writeFileSync(join(directory, "file-1"), "");
  symlinkSync(join(directory, NAME), join(directory, "link-1"));
  symlinkSync("/", join(directory, "root-1"));
  expect((await listSnapshots(directory)).map(({ name }) => name)).toEqual([NAME]);
});

test("there is nothing in a snapshot directory that doesn't exist, or is empty", async () => {
  const directory = snapshotDirectory();
  expect(await listSnapshots(directory)).toEqual([]);
  expect(await listSnapshots(join(directory, "none"))).toEqual([]);
});

test("one that is a file is an error", async () => {
  const file = join(snapshotDirectory(), "file");
  writeFileSync(file, "");
  await expect(listSnapshots(file)).rejects.toThrow(
    `can't open the snapshot directory: ${file} is not a directory`,
  );
});

test("an empty snapshot has no blocks and no times", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME, 0);
  const [info] = await listSnapshots(directory);
  expect(info).toMatchObject({ blocks: 0, bytes: 0, minTime: undefined, maxTime: undefined });
});

test("a block without a readable meta.json counts, but tells no times", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME, 0);
  const good = { minTime: 5, maxTime: 6 };
  makeBlock(path, { ulid: ulid(1), ...good });
  const meta = (number: number) => join(makeBlock(path, { ulid: ulid(number) }), "meta.json");
  rmSync(meta(2));
  writeFileSync(meta(3), "");
  writeFileSync(meta(4), "{");
  writeFileSync(meta(5), '{"version": 2}');
  truncateSync(meta(6), 5 * 1024 * 1024);
  const pipe = meta(7);
  rmSync(pipe);
  Bun.spawnSync(["mkfifo", pipe]);
  const link = meta(8);
  rmSync(link);
  symlinkSync("/dev/zero", link);
  const folder = meta(9);
  rmSync(folder);
  mkdirSync(folder);
  const [info] = await listSnapshots(directory);
  expect(info).toMatchObject({ blocks: 9, ...good, bytes: bytesBelow(path) });
});

test("symbolic links in a snapshot are neither followed nor counted", async () => {
  const directory = snapshotDirectory();
  const outside = join(directory, "..", "outside");
  mkdirSync(outside);
  makeBlock(outside, { ulid: ulid(5), minTime: 1, maxTime: 9_000_000 });
  const path = makeSnapshot(directory, NAME);
  const before = await listSnapshots(directory);
  symlinkSync(join(outside, ulid(5)), join(path, ulid(5)));
  symlinkSync(outside, join(path, "outside"));
  symlinkSync("/etc/passwd", join(path, "passwd"));
  expect(await listSnapshots(directory)).toEqual(before);
});

test("a snapshot that is removed meanwhile is whole in the list, or not in it", async () => {
  const directory = snapshotDirectory();
  for (let round = 0; round < 20; round++) {
    makeSnapshot(directory, NAME, 10);
    const [list] = await Promise.all([listSnapshots(directory), removeSnapshot(directory, NAME)]);
    for (const { blocks } of list) expect(blocks).toBe(10);
  }
});

test("a lister in another process neither hides a snapshot from downloads nor makes it look used", async () => {
  const directory = snapshotDirectory();
  for (let number = 0; number < 5; number++) makeSnapshot(directory, `aaa-${number}`, 0);
  const listing = `
    import { listSnapshots } from "SOURCES/snapshots/list.ts";
    console.log("ready");
    for (const end = performance.now() + 60_000; performance.now() < end; ) {
      await listSnapshots(...ARGS);
    }`;
  const other = start(bunCommand(listing, directory));
  expect(await other.line()).toBe("ready");
  for (let round = 0; round < 200; round++) {
    for (const { inUse } of await listSnapshots(directory)) expect(inUse).toBe(false);
    (await lockShared(directory, "aaa-3")).release();
  }
  await other.kill();
});
