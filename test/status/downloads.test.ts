import { expect, test } from "bun:test";
import { Downloads, KEEP_MILLISECONDS } from "../../src/status/downloads.ts";

const SUCCESS = { success: true, error_text: null, sha256_hex: "ab" };

test("a download is on record while it runs and 15 minutes after its end, by a clock that never jumps", () => {
  let now = 0;
  const downloads = new Downloads(() => now);
  const download = downloads.start("a-b");
  now = 100 * KEEP_MILLISECONDS;
  expect(downloads.get(download.id)).toEqual({
    id: download.id,
    snapshot_name: "a-b",
    finished: null,
  });
  download.finish(SUCCESS);
  now += KEEP_MILLISECONDS;
  expect(downloads.get(download.id)?.finished).toEqual(SUCCESS);
  expect(downloads.trackedCount).toBe(1);
  now += 1;
  expect(downloads.get(download.id)).toBeUndefined();
  expect(downloads.trackedCount).toBe(0);
});

test("only the first end counts", () => {
  const downloads = new Downloads();
  const download = downloads.start("a-b");
  download.finish(SUCCESS);
  download.finish({ success: false, error_text: "late", sha256_hex: "" });
  expect(downloads.get(download.id)?.finished).toEqual(SUCCESS);
});

test("ids start with the time in UTC and are never the same", () => {
  const downloads = new Downloads(undefined, () => new Date("2026-11-22T15:58:36.999Z"));
  const ids = Array.from({ length: 1000 }, () => downloads.start("a-b").id);
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^20261122155836_[0-9a-f]+$/);
});

test("a flood of failed downloads leaves a bounded number behind", () => {
  const downloads = new Downloads();
  for (let i = 0; i < 10_050; i++) downloads.start("a-b").finish(SUCCESS);
  expect(downloads.trackedCount).toBe(10_000);
});

test("a stopping server waits until each end was asked for, and no longer", async () => {
  const downloads = new Downloads();
  const download = downloads.start("a-b");
  await downloads.allTold(60_000);
  download.finish(SUCCESS);
  const told = downloads.allTold(60_000);
  downloads.get(download.id);
  await told;
});
