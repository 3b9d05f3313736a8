import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { announceCreation } from "../../src/snapshots/announce.ts";
import { lockShared } from "../../src/snapshots/lock.ts";
import { type PruneEntry, planPrune, pruneSnapshots } from "../../src/snapshots/prune.ts";
import { ANOTHER_USER, BECOME_ANOTHER } from "../support/another-user.ts";
import {
  bunCommand,
  flockFromOutside,
  makeSnapshot,
  names,
  snapshotDirectory,
  start,
} from "./support.ts";

const HOUR = 3_600_000;
const NOW = new Date("2026-06-15T12:00:00Z");

/** A name of that age at NOW. */
function aged(milliseconds: number, suffix = "aaaa"): string {
  const time = new Date(NOW.getTime() - milliseconds).toISOString();
  return `${time.slice(0, 19).replace(/[-:]/g, "")}Z-${suffix}`;
}

const PRUNE = `
  import { pruneSnapshots } from "SOURCES/snapshots/prune.ts";
  const [directory, now, keepWithin] = ARGS;
  console.log("ready");
  for await (const _ of console) break;
  const result = await pruneSnapshots(directory, { keepWithin: Number(keepWithin), now: new Date(now) });
  console.log(JSON.stringify(result));`;

describe("the plan", () => {
  const directories = (...list: string[]): PruneEntry[] =>
    list.map((name) => ({ name, isDirectory: true }));

  test("removes what is as old as the limit or older, oldest first", () => {
    const entries = directories(aged(HOUR), aged(HOUR - 1000), aged(HOUR + 1000), aged(9 * HOUR));
    const plan = planPrune(entries, { keepWithin: HOUR, now: NOW });
    expect(plan.remove.map(({ name }) => name)).toEqual([
      aged(9 * HOUR),
      aged(HOUR + 1000),
      aged(HOUR),
    ]);
    expect(plan.kept).toEqual([{ name: aged(HOUR - 1000), reason: "younger than 1h0m0s" }]);
    expect(plan.ignored).toEqual([]);
  });

  test("with nothing to keep removes all but what is dated in the future", () => {
    // As a file system lists them: in any order.
    const entries = directories(aged(-240 * HOUR), aged(0), aged(-1000));
    const plan = planPrune(entries, { keepWithin: 0, now: NOW });
    expect(plan.remove.map(({ name }) => name)).toEqual([aged(0)]);
    expect(plan.kept).toEqual([
      { name: aged(-1000), reason: "dated in the future" },
      { name: aged(-240 * HOUR), reason: "dated in the future" },
    ]);
  });

  test("leaves alone what isn't a dated directory", () => {
    const others = ["aaa-bbb", "20260230T000000Z-a", "lost+found", ".hidden", "20200101T000000Z"];
    const file = { name: aged(9 * HOUR), isDirectory: false };
    const plan = planPrune([...directories(...others), file], { keepWithin: 0, now: NOW });
    expect(plan).toEqual({ remove: [], kept: [], ignored: [...others, file.name].sort() });
  });

  test("counts from the time, not from its notation", () => {
    const entries = directories("20260615T120000+0130-a", "20260615T120000+0030-a");
    const plan = planPrune(entries, { keepWithin: HOUR, now: NOW });
    expect(plan.remove.map(({ name }) => name)).toEqual(["20260615T120000+0130-a"]);
  });
});

test("removes what is old, keeps and reports the rest", async () => {
  const directory = snapshotDirectory();
  const outside = join(directory, "..", "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "canary"), "");
  const [old, oldWithOffset, young] = [aged(5 * HOUR), "20260101T000000+0100-a", aged(60_000)];
  for (const name of [old, oldWithOffset, young, aged(-HOUR), "aaa-bbb"]) {
    makeSnapshot(directory, name);
  }
  symlinkSync(outside, join(directory, aged(6 * HOUR)));
  writeFileSync(join(directory, aged(7 * HOUR)), "");
  makeSnapshot(directory, ".prombackup-deleting-20200101T000000Z-a");
  const result = await pruneSnapshots(directory, { keepWithin: HOUR, now: NOW });
  expect(result.removed).toEqual([oldWithOffset, old]);
  expect(new Set(result.kept)).toEqual(
    new Set([
      { name: young, reason: "younger than 1h0m0s" },
      { name: aged(-HOUR), reason: "dated in the future" },
    ]),
  );
  expect([...result.ignored].sort()).toEqual([aged(7 * HOUR), aged(6 * HOUR), "aaa-bbb"].sort());
  expect(result.failed).toEqual([]);
  expect(result.swept).toEqual([".prombackup-deleting-20200101T000000Z-a"]);
  const left = [aged(6 * HOUR), aged(7 * HOUR), young, aged(-HOUR), "aaa-bbb"];
  expect(names(directory)).toEqual(left.sort());
  expect(names(outside)).toEqual(["canary"]);
});

test("a snapshot directory that doesn't exist is an empty one", async () => {
  const nothing = { removed: [], kept: [], failed: [], ignored: [], swept: [] };
  const directory = join(snapshotDirectory(), "none");
  expect(await pruneSnapshots(directory, { keepWithin: 0 })).toEqual(nothing);
});

test("one that is a file is an error", async () => {
  const file = join(snapshotDirectory(), "file");
  writeFileSync(file, "");
  await expect(pruneSnapshots(file, { keepWithin: 0 })).rejects.toThrow(
    `can't open the snapshot directory: ${file} is not a directory`,
  );
});

test.each([-1, -HOUR, Number.NaN])("keepWithin %p is refused", async (keepWithin) => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, aged(HOUR));
  await expect(pruneSnapshots(directory, { keepWithin })).rejects.toThrow(
    "KeepWithin must be larger than or equal to zero",
  );
  expect(names(directory)).toHaveLength(1);
});

test("the snapshot directory may be a symbolic link", async () => {
  const directory = snapshotDirectory();
  const link = join(directory, "..", "link");
  symlinkSync(directory, link);
  makeSnapshot(directory, aged(HOUR));
  const result = await pruneSnapshots(link, { keepWithin: 0, now: NOW });
  expect(result.removed).toEqual([aged(HOUR)]);
  expect(readlinkSync(link)).toBe(directory);
  expect(names(directory)).toEqual([]);
});

test("without a time, the wall clock counts", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, "20200101T000000Z-a");
  makeSnapshot(directory, "99991231T235959Z-a");
  await pruneSnapshots(directory, { keepWithin: HOUR });
  expect(names(directory)).toEqual(["99991231T235959Z-a"]);
});

test("what is in use, here or in another process, is kept until it isn't", async () => {
  const directory = snapshotDirectory();
  const [here, there, free] = [aged(2 * HOUR, "a"), aged(3 * HOUR, "b"), aged(4 * HOUR, "c")];
  makeSnapshot(directory, here);
  makeSnapshot(directory, free);
  const lock = await lockShared(directory, here);
  const other = await flockFromOutside(makeSnapshot(directory, there), "shared");
  const result = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
  expect(result.removed).toEqual([free]);
  expect(result.kept).toEqual([
    { name: there, reason: "in use" },
    { name: here, reason: "in use" },
  ]);
  expect(readdirSync(lock.path)).toHaveLength(1);
  lock.release();
  await other.kill();
  const again = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
  expect(again.removed).toEqual([there, here]);
});

test("two processes prune at once: each snapshot is removed once, and there is no error", async () => {
  const directory = snapshotDirectory();
  for (let round = 0; round < 3; round++) {
    const all = Array.from({ length: 30 }, (_, index) => aged((index + 2) * HOUR));
    for (const name of all) makeSnapshot(directory, name);
    const both = [0, 1].map(() => start(bunCommand(PRUNE, directory, NOW.toISOString(), "0")));
    for (const process of both) expect(await process.line()).toBe("ready");
    for (const process of both) process.tell("go");
    const answers = await Promise.all(both.map((process) => process.line()));
    const results = answers.map((line) => JSON.parse(line ?? ""));
    expect(results.flatMap((result) => result.removed).sort()).toEqual(all.sort());
    expect(results.flatMap((result) => result.failed)).toEqual([]);
    expect(names(directory)).toEqual([]);
  }
});

test("prune twice at once in one process", async () => {
  const directory = snapshotDirectory();
  const all = Array.from({ length: 10 }, (_, index) => aged((index + 2) * HOUR));
  for (const name of all) makeSnapshot(directory, name);
  const options = { keepWithin: 0, now: NOW };
  const results = await Promise.all([1, 2, 3].map(() => pruneSnapshots(directory, options)));
  expect(results.flatMap((result) => result.removed).sort()).toEqual(all.sort());
  expect(results.flatMap((result) => result.failed)).toEqual([]);
  expect(names(directory)).toEqual([]);
});

describe("while a snapshot is being created", () => {
  test("young ones are kept, since one of them is not finished; older ones go", async () => {
    const directory = snapshotDirectory();
    makeSnapshot(directory, aged(1000));
    makeSnapshot(directory, aged(2 * HOUR));
    const announced = await announceCreation(directory);
    const result = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
    expect(result.removed).toEqual([aged(2 * HOUR)]);
    expect(result.kept).toEqual([{ name: aged(1000), reason: "perhaps still being made" }]);
    announced?.release();
    const again = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
    expect(again.removed).toEqual([aged(1000)]);
  });

  test("by another process, until that ends", async () => {
    const directory = snapshotDirectory();
    makeSnapshot(directory, aged(1000));
    const creating = `
      import { announceCreation } from "SOURCES/snapshots/announce.ts";
      await announceCreation(...ARGS);
      console.log("announced");
      await Bun.sleep(600_000);`;
    const other = start(bunCommand(creating, directory));
    expect(await other.line()).toBe("announced");
    const during = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
    expect(during.removed).toEqual([]);
    await other.kill();
    const after = await pruneSnapshots(directory, { keepWithin: 0, now: NOW });
    expect(after.removed).toEqual([aged(1000)]);
  });

  test("in a snapshot directory that doesn't exist yet, there is nothing to announce", async () => {
    expect(await announceCreation(join(snapshotDirectory(), "none"))).toBeUndefined();
  });
});

test("one that can't be removed is told, and the others go all the same", async () => {
  const directory = snapshotDirectory();
  const [stuck, fine] = [aged(3 * HOUR), aged(2 * HOUR)];
  const stuckPath = makeSnapshot(directory, stuck);
  const finePath = makeSnapshot(directory, fine);
  chmodSync(stuckPath, 0o555);
  if (process.getuid?.() === 0) {
    // Nothing stops root, so it is done by somebody who owns all but one snapshot.
    chmodSync(join(directory, "../.."), 0o755);
    Bun.spawnSync(["chown", "-R", String(ANOTHER_USER), directory]);
    Bun.spawnSync(["chown", "-R", "0", stuckPath]);
  }
  const pruning = start(bunCommand(BECOME_ANOTHER + PRUNE, directory, NOW.toISOString(), "0"));
  expect(await pruning.line()).toBe("ready");
  pruning.tell("go");
  const result = JSON.parse((await pruning.line()) ?? "");
  chmodSync(stuckPath, 0o755);
  expect(result.removed).toEqual([fine]);
  expect(result.failed).toHaveLength(1);
  expect(result.failed[0].name).toBe(stuck);
  expect(result.failed[0].error).toStartWith(`can't remove ${stuck}: permission denied: `);
  expect(existsSync(finePath)).toBe(false);
  expect(names(stuckPath)).toHaveLength(1);
});
