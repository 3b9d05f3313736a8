import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { SnapshotInUse, SnapshotNotFound } from "../../src/snapshots/errors.ts";
import { Leases } from "../../src/snapshots/lease.ts";
import { lockShared, tryLockExclusive } from "../../src/snapshots/lock.ts";
import { pruneSnapshots } from "../../src/snapshots/prune.ts";
import { removeSnapshot } from "../../src/snapshots/remove.ts";
import { makeSnapshot, names, snapshotDirectory } from "./support.ts";

const NAME = "20260101T000000Z-aaaa";
const MINUTE = 60_000;

let directory: string;
let leases: Leases;

beforeEach(() => {
  directory = snapshotDirectory();
  makeSnapshot(directory, NAME);
  leases = new Leases(directory);
  jest.useFakeTimers();
});
afterEach(() => {
  leases.close();
  jest.useRealTimers();
});

/** Asked as another process would: by the lock. */
function isLeased(): boolean {
  const lock = tryLockExclusive(directory, NAME);
  lock?.release();
  return lock === undefined;
}

/** As the server does it: the download's own lock is taken first, and released last. */
async function download(success: boolean, milliseconds: number): Promise<void> {
  const lock = await lockShared(directory, NAME);
  leases.downloadStarted(NAME);
  jest.advanceTimersByTime(milliseconds);
  leases.downloadEnded(NAME, success);
  lock.release();
}

test("a lease lasts fifteen minutes", async () => {
  await leases.grant(NAME);
  jest.advanceTimersByTime(15 * MINUTE - 1);
  expect(isLeased()).toBe(true);
  jest.advanceTimersByTime(1);
  expect(isLeased()).toBe(false);
});

test("or as long as it is set", async () => {
  const short = new Leases(directory, { seconds: 2 });
  await short.grant(NAME);
  jest.advanceTimersByTime(1999);
  expect(isLeased()).toBe(true);
  jest.advanceTimersByTime(1);
  expect(isLeased()).toBe(false);
});

test("jumps of the wall clock neither shorten nor lengthen it", async () => {
  await leases.grant(NAME);
  jest.setSystemTime(new Date("2040-01-01T00:00:00Z"));
  jest.advanceTimersByTime(14 * MINUTE);
  expect(isLeased()).toBe(true);
  jest.setSystemTime(new Date("1980-01-01T00:00:00Z"));
  jest.advanceTimersByTime(MINUTE);
  expect(isLeased()).toBe(false);
});

test("a successful download ends it", async () => {
  await leases.grant(NAME);
  await download(true, MINUTE);
  expect(isLeased()).toBe(false);
});

test("a failed one begins it anew at its end", async () => {
  await leases.grant(NAME);
  await download(false, 14 * MINUTE);
  jest.advanceTimersByTime(15 * MINUTE - 1);
  expect(isLeased()).toBe(true);
  jest.advanceTimersByTime(1);
  expect(isLeased()).toBe(false);
});

test("it doesn't run out during a download, however long that takes", async () => {
  await leases.grant(NAME);
  await download(false, 600 * MINUTE);
  expect(isLeased()).toBe(true);
  await download(false, 600 * MINUTE);
  expect(isLeased()).toBe(true);
  await download(true, 600 * MINUTE);
  expect(isLeased()).toBe(false);
});

test("a download that fails after it ran out takes it up again", async () => {
  await leases.grant(NAME);
  jest.advanceTimersByTime(20 * MINUTE);
  expect(isLeased()).toBe(false);
  await download(false, MINUTE);
  expect(isLeased()).toBe(true);
  jest.advanceTimersByTime(15 * MINUTE);
  expect(isLeased()).toBe(false);
});

test("a download that fails after another succeeded doesn't", async () => {
  await leases.grant(NAME);
  await download(true, MINUTE);
  await download(false, MINUTE);
  expect(isLeased()).toBe(false);
});

test("of downloads that run side by side, the last failure counts", async () => {
  await leases.grant(NAME);
  leases.downloadStarted(NAME);
  leases.downloadStarted(NAME);
  jest.advanceTimersByTime(20 * MINUTE);
  leases.downloadEnded(NAME, false);
  jest.advanceTimersByTime(20 * MINUTE);
  expect(isLeased()).toBe(true);
  leases.downloadEnded(NAME, false);
  jest.advanceTimersByTime(15 * MINUTE - 1);
  expect(isLeased()).toBe(true);
  jest.advanceTimersByTime(1);
  expect(isLeased()).toBe(false);
});

test("of downloads that run side by side, one success is enough", async () => {
  await leases.grant(NAME);
  leases.downloadStarted(NAME);
  leases.downloadStarted(NAME);
  leases.downloadEnded(NAME, true);
  expect(isLeased()).toBe(false);
  leases.downloadEnded(NAME, false);
  expect(isLeased()).toBe(false);
});

test("a snapshot that was never leased isn't by a failed download", async () => {
  await download(false, MINUTE);
  expect(isLeased()).toBe(false);
});

test("prune, with nothing to keep, leaves a leased snapshot alone until the lease is over", async () => {
  await leases.grant(NAME);
  jest.useRealTimers();
  const during = await pruneSnapshots(directory, { keepWithin: 0 });
  expect(during.kept).toEqual([{ name: NAME, reason: "in use" }]);
  leases.downloadStarted(NAME);
  leases.downloadEnded(NAME, true);
  const after = await pruneSnapshots(directory, { keepWithin: 0 });
  expect(after.removed).toEqual([NAME]);
});

test("what the snapshot directory doesn't hold can't be leased", async () => {
  await expect(leases.grant("aaa-bbb")).rejects.toThrow(SnapshotNotFound);
});

test("a download of a snapshot that was removed behind our back does no harm", async () => {
  await leases.grant(NAME);
  jest.advanceTimersByTime(15 * MINUTE);
  rmSync(join(directory, NAME), { recursive: true });
  leases.downloadStarted(NAME);
  leases.downloadEnded(NAME, false);
  makeSnapshot(directory, "bbb-ccc");
  await leases.grant("bbb-ccc");
  expect(names(directory)).toEqual(["bbb-ccc"]);
});

test("close ends all leases", async () => {
  await leases.grant(NAME);
  leases.close();
  expect(isLeased()).toBe(false);
});

describe("set aside for a removal", () => {
  beforeEach(() => {
    jest.useRealTimers();
  });

  test("it isn't in the way, and is over", async () => {
    await leases.grant(NAME);
    await expect(removeSnapshot(directory, NAME)).rejects.toThrow(SnapshotInUse);
    await leases.setAside(NAME, () => removeSnapshot(directory, NAME));
    expect(names(directory)).toEqual([]);
  });

  test("it goes on if the removal fails", async () => {
    await leases.grant(NAME);
    const download = await lockShared(directory, NAME);
    const removal = leases.setAside(NAME, () => removeSnapshot(directory, NAME));
    await expect(removal).rejects.toThrow(SnapshotInUse);
    download.release();
    expect(isLeased()).toBe(true);
  });

  test("a removal without a lease is just that", async () => {
    await leases.setAside(NAME, () => removeSnapshot(directory, NAME));
    expect(names(directory)).toEqual([]);
    const again = leases.setAside(NAME, () => removeSnapshot(directory, NAME));
    await expect(again).rejects.toThrow(SnapshotNotFound);
  });
});
