import { afterEach, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  InvalidSnapshotName,
  SnapshotInUse,
  SnapshotInvalid,
  SnapshotNotFound,
} from "../../src/snapshots/errors.ts";
import {
  lockExclusive,
  lockShared,
  type SnapshotLock,
  tryLockExclusive,
  tryLockShared,
} from "../../src/snapshots/lock.ts";
import { bunCommand, flockFromOutside, makeSnapshot, snapshotDirectory, start } from "./support.ts";

const NAME = "20260101T000000Z-aaaa";
const held: SnapshotLock[] = [];

function keep(lock: SnapshotLock | undefined): SnapshotLock | undefined {
  if (lock !== undefined) held.push(lock);
  return lock;
}

afterEach(() => {
  for (const lock of held.splice(0)) lock.release();
});

/** How many descriptors this process has of a directory and of what is in it. */
function descriptors(directory: string): number {
  const open = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // Closed since it was listed.
    }
  });
  return open.filter((path) => path.startsWith(directory)).length;
}

test("downloads share a snapshot, and nobody removes it meanwhile", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const first = await lockShared(directory, NAME);
  const second = await lockShared(directory, NAME);
  expect(tryLockExclusive(directory, NAME)).toBeUndefined();
  first.release();
  expect(tryLockExclusive(directory, NAME)).toBeUndefined();
  second.release();
  second.release();
  const exclusive = keep(tryLockExclusive(directory, NAME));
  expect(exclusive).toBeDefined();
  expect(tryLockShared(directory, NAME)).toBeUndefined();
  expect(await lockExclusive(directory, NAME)).toBeUndefined();
});

test("a release that comes twice closes nobody else's descriptor", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const first = await lockShared(directory, NAME);
  first.release();
  const second = keep(await lockShared(directory, NAME));
  first.release();
  expect(readdirSync(second?.path ?? "")).not.toEqual([]);
});

test("another process's lock counts, and is gone when it is killed", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME);
  const other = await flockFromOutside(path, "shared");
  expect(tryLockExclusive(directory, NAME)).toBeUndefined();
  expect(keep(tryLockShared(directory, NAME))).toBeDefined();
  held.pop()?.release();
  await other.kill();
  expect(keep(tryLockExclusive(directory, NAME))).toBeDefined();
});

test("a second Bun's lock counts, and is gone when that is killed", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const code = `
    import { lockShared } from "SOURCES/snapshots/lock.ts";
    await lockShared(...ARGS);
    console.log("held");
    await Bun.sleep(600_000);`;
  const other = start(bunCommand(code, directory, NAME));
  expect(await other.line()).toBe("held");
  expect(tryLockExclusive(directory, NAME)).toBeUndefined();
  await other.kill();
  expect(keep(tryLockExclusive(directory, NAME))).toBeDefined();
});

test("a shared lock is waited for while somebody looks", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const probe = tryLockExclusive(directory, NAME);
  const waiting = lockShared(directory, NAME);
  probe?.release();
  expect(keep(await waiting)).toBeDefined();
});

test("but not for ever", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME);
  const other = await flockFromOutside(path, "exclusive");
  await expect(lockShared(directory, NAME)).rejects.toThrow(SnapshotInUse);
  await other.kill();
});

test("who waits for a snapshot that is renamed away doesn't find it", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const remover = tryLockExclusive(directory, NAME);
  const waiting = lockShared(directory, NAME);
  renameSync(join(directory, NAME), join(directory, "elsewhere"));
  remover?.release();
  await expect(waiting).rejects.toThrow(SnapshotNotFound);
});

test("the path of a lock stays with the directory, whatever its name comes to mean", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const lock = keep(await lockShared(directory, NAME));
  renameSync(join(directory, NAME), join(directory, "elsewhere"));
  mkdirSync(join(directory, NAME));
  expect(readdirSync(lock?.path ?? "")).toHaveLength(1);
});

describe("what is no snapshot", () => {
  const directory = snapshotDirectory();
  const outside = join(directory, "..", "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(directory, "link-1"));
  symlinkSync("nowhere", join(directory, "link-2"));
  writeFileSync(join(directory, "file-1"), "");
  Bun.spawnSync(["mkfifo", join(directory, "pipe-1")]);

  test.each(["link-1", "link-2", "file-1", "pipe-1"])("%s is invalid", async (name) => {
    expect(() => tryLockExclusive(directory, name)).toThrow(SnapshotInvalid);
    expect(() => tryLockExclusive(directory, name)).toThrow(`snapshot invalid: ${name}`);
    await expect(lockShared(directory, name)).rejects.toThrow(SnapshotInvalid);
    expect(descriptors(directory)).toBe(0);
  });

  test.each(["aaa-bbb", `a-${"b".repeat(300)}`])("%s isn't found", (name) => {
    expect(() => tryLockShared(directory, name)).toThrow(SnapshotNotFound);
    expect(() => tryLockShared(directory, name)).toThrow(`snapshot not found: ${name}`);
  });

  test.each(["", ".", "..", "../etc", "a-b/../../c", "a\0-b"])("%p isn't looked for", (name) => {
    expect(() => tryLockShared(directory, name)).toThrow(InvalidSnapshotName);
  });

  test("nothing is found in a snapshot directory that doesn't exist", () => {
    expect(() => tryLockShared(join(directory, "none"), "aaa-bbb")).toThrow(SnapshotNotFound);
  });
});

test("the snapshot directory may be a symbolic link", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  const link = join(directory, "..", "link");
  symlinkSync(directory, link);
  expect(keep(await lockShared(link, NAME))).toBeDefined();
  expect(tryLockExclusive(directory, NAME)).toBeUndefined();
});

test("no descriptor stays open after a refusal", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME);
  const other = await flockFromOutside(path, "shared");
  const seen = keep(tryLockShared(directory, NAME));
  expect(descriptors(directory)).toBe(1);
  seen?.release();
  for (let round = 0; round < 50; round++)
    expect(tryLockExclusive(directory, NAME)).toBeUndefined();
  expect(descriptors(directory)).toBe(0);
  await other.kill();
});
