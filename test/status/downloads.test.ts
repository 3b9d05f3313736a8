import { describe, expect, test } from "bun:test";
import { PruneClock } from "../../src/snapshots/clock.ts";
import { KEEP_MILLISECONDS } from "../../src/status/downloads.ts";
import { tempDir } from "../support/temp.ts";
import { Clocks, FAILURE, makeDownloads, openState, SUCCESS } from "./support.ts";

const DAY = 24 * 60 * 60 * 1000;

test("a download is tracked while it runs and 15 minutes after its end, and on record for longer", () => {
  const clocks = new Clocks();
  const downloads = makeDownloads(openState(), clocks);
  const download = downloads.start("a-b");
  clocks.pass(100 * KEEP_MILLISECONDS);
  const running = { id: download.id, snapshot_name: "a-b", finished: null };
  expect(downloads.get(download.id)).toEqual(running);
  download.finish(SUCCESS);
  clocks.pass(KEEP_MILLISECONDS);
  expect(downloads.trackedCount).toBe(1);
  clocks.pass(1);
  expect(downloads.trackedCount).toBe(0);
  expect(downloads.get(download.id)).toEqual({ ...running, finished: SUCCESS });
});

test("only the first end counts", () => {
  const downloads = makeDownloads();
  const download = downloads.start("a-b");
  download.finish(SUCCESS);
  download.finish(FAILURE);
  expect(downloads.get(download.id)?.finished).toEqual(SUCCESS);
});

test("ids start with the time in UTC and are never the same", () => {
  const downloads = makeDownloads();
  const ids = Array.from({ length: 1000 }, () => downloads.start("a-b").id);
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^20261122155836_[0-9a-f]+$/);
});

test("a flood of failed downloads leaves a bounded number behind", () => {
  const downloads = makeDownloads(openState(undefined, { keepWithin: DAY, maxRows: 100 }));
  for (let i = 0; i < 10_050; i++) downloads.start("a-b").finish(FAILURE);
  expect(downloads.trackedCount).toBe(10_000);
  expect(downloads.list().length).toBe(10_000);
});

test("a stopping server waits until each end was asked for, and no longer", async () => {
  const downloads = makeDownloads();
  const download = downloads.start("a-b");
  await downloads.allTold(60_000);
  download.finish(SUCCESS);
  const told = downloads.allTold(60_000);
  downloads.get(download.id);
  await told;
});

describe("after a restart", () => {
  test("ends are still on record, newest first; what ran has failed, with the reason", () => {
    const directory = tempDir();
    const before = openState(directory);
    const first = makeDownloads(before);
    const ids = ["a-1", "a-2", "a-3"].map((name) => first.start(name));
    ids[0]?.finish(SUCCESS);
    ids[1]?.finish(FAILURE);
    before.close();
    const downloads = makeDownloads(openState(directory));
    const killed = {
      success: false,
      error_text: expect.stringContaining("it was killed"),
      sha256_hex: "",
    };
    expect(downloads.list()).toEqual([
      { id: ids[2]?.id ?? "", snapshot_name: "a-3", finished: killed },
      { id: ids[1]?.id ?? "", snapshot_name: "a-2", finished: FAILURE },
      { id: ids[0]?.id ?? "", snapshot_name: "a-1", finished: SUCCESS },
    ]);
    expect(downloads.interrupted.map(({ id }) => id)).toEqual([ids[2]?.id ?? ""]);
    expect(downloads.trackedCount).toBe(3);
  });

  test("history is bounded in age and in number", () => {
    const directory = tempDir();
    const limits = { keepWithin: 30 * DAY, maxRows: 5 };
    const clocks = new Clocks();
    const before = openState(directory, limits);
    const first = makeDownloads(before, clocks);
    const finish = () => first.start("a-b").finish(SUCCESS);
    finish();
    clocks.pass(20 * DAY);
    for (let i = 0; i < 3; i++) finish();
    clocks.pass(11 * DAY);
    finish();
    expect(before.history.list()).toHaveLength(4);
    for (let i = 0; i < 10; i++) finish();
    expect(before.history.list()).toHaveLength(5);
    before.close();
    expect(makeDownloads(openState(directory, limits), clocks).list()).toHaveLength(5);
  });
});

describe("when the wall clock jumps", () => {
  /** The clocks of a machine, and what the server makes of them. */
  function machine() {
    const clocks = new Clocks();
    const prune = new PruneClock({ wall: () => clocks.time, boot: () => clocks.passed });
    return { clocks, seen: { ...clocks, age: (keep: number) => prune.now(keep) } };
  }

  test.each([-400 * DAY, -DAY, DAY, 29 * DAY, 400 * DAY])("by %d ms, nothing vanishes", (jump) => {
    const { clocks, seen } = machine();
    const state = openState();
    const downloads = makeDownloads(state, seen);
    const early = downloads.start("a-1");
    early.finish(SUCCESS);
    const running = downloads.start("a-2");
    clocks.pass(KEEP_MILLISECONDS);
    clocks.time += jump;
    running.finish(SUCCESS);
    downloads.start("a-3").finish(SUCCESS);
    expect(downloads.trackedCount).toBe(3);
    clocks.pass(29 * DAY);
    downloads.start("a-4").finish(SUCCESS);
    for (const { id } of [early, running]) expect(downloads.get(id)?.finished).toEqual(SUCCESS);
  });

  test("between two servers, nothing vanishes for 15 minutes", () => {
    const directory = tempDir();
    const before = openState(directory);
    const { id, finish } = makeDownloads(before).start("a-b");
    finish(SUCCESS);
    before.close();
    const { clocks, seen } = machine();
    clocks.time += 400 * DAY;
    const downloads = makeDownloads(openState(directory), seen);
    clocks.pass(KEEP_MILLISECONDS - 1);
    downloads.start("a-b").finish(SUCCESS);
    expect(downloads.get(id)?.finished).toEqual(SUCCESS);
  });
});
