import { describe, expect, test } from "bun:test";
import { InvalidSnapshotName } from "../../src/snapshots/errors.ts";
import { checkSnapshotName, isSnapshotName, snapshotTime } from "../../src/snapshots/name.ts";

describe("a snapshot's name", () => {
  test.each(["20261122T155836Z-65aeeeb8efa3ba34", "aaa-bbb", "AAA-BBB", "0-0", "a1-B2"])(
    "%p",
    (name) => {
      expect(isSnapshotName(name)).toBe(true);
    },
  );
  test.each([
    "",
    "-",
    "aaa",
    "aaa-",
    "-bbb",
    "aaa-bbb-ccc",
    "aaa_bbb",
    "aaa.bbb",
    "../etc",
    "a/b-c",
    "aaa-bbb/",
    "aaa-bbb\n",
    "aaa-bbb\0",
    " aaa-bbb",
    "äää-bbb",
    "aaa-\u017f", // uppercases to S
    "\u212aaa-bbb", // lowercases to k
    "20261122T155836+0100-abc",
    ".prombackup-deleting-aaa-bbb",
  ])("isn't %p", (name) => {
    expect(isSnapshotName(name)).toBe(false);
  });
});

describe("the time in a name", () => {
  test.each([
    ["20261122T155836Z-65aeeeb8efa3ba34", "2026-11-22T15:58:36.000Z"],
    ["20261122T155836+0000-65ae", "2026-11-22T15:58:36.000Z"],
    ["20261122T155836+0130-65ae", "2026-11-22T14:28:36.000Z"],
    ["20260101T000000+1400-65ae", "2025-12-31T10:00:00.000Z"],
    ["20240229T235959Z-a", "2024-02-29T23:59:59.000Z"],
    ["20261122T155836Z-any thing.else", "2026-11-22T15:58:36.000Z"],
    ["20261122T155836Z--", "2026-11-22T15:58:36.000Z"],
  ])("%p", (name, time) => {
    expect(snapshotTime(name)?.toISOString()).toBe(time);
  });
  test.each([
    "20261122T155836Z",
    "20261122T155836Z-",
    "20261122T155836-65ae",
    "20261122T155836-0100-65ae",
    "20261122T155836+01:00-65ae",
    "20261122T155836+2400-65ae",
    "20261122T155836+0060-65ae",
    "20261122t155836z-65ae",
    "20261122T155836z-65ae",
    "20261122-155836Z-65ae",
    "2026-11-22T15:58:36Z-65ae",
    "20261122T1558Z-65ae",
    "20261122T155836.5Z-65ae",
    "20260230T000000Z-a",
    "20250229T000000Z-a",
    "20261301T000000Z-a",
    "20260001T000000Z-a",
    "20260100T000000Z-a",
    "20260132T000000Z-a",
    "20260101T240000Z-a",
    "20260101T236000Z-a",
    "20260101T235960Z-a",
    "00000101T000000Z-a",
    "00500101T000000Z-a",
    "x20261122T155836Z-65ae",
    "20261122T155836Z-a/b",
    "20261122T155836Z-a\n",
    "20261122T155836Z-a\0",
    "20261122T155836Z-\ufffd",
    "aaa-bbb",
    "",
  ])("isn't in %p", (name) => {
    expect(snapshotTime(name)).toBeUndefined();
  });
});

test("what becomes part of a path is a name, and the refusal quotes it for a log", () => {
  expect(() => checkSnapshotName("aaa-bbb")).not.toThrow();
  expect(() => checkSnapshotName("20261122T155836+0100-abc")).not.toThrow();
  const refusals = [
    ["../etc", 'invalid snapshot name: "../etc"'],
    ["a\nb", 'invalid snapshot name: "a\\nb"'],
    ['a"b', 'invalid snapshot name: "a\\"b"'],
    ["\u2028\u202e\u009b", 'invalid snapshot name: "\\u2028\\u202e\\u009b"'],
    ["\u{e0001}", 'invalid snapshot name: "\\udb40\\udc01"'],
  ] as const;
  for (const [name, message] of refusals) {
    expect(() => checkSnapshotName(name)).toThrow(InvalidSnapshotName);
    expect(() => checkSnapshotName(name)).toThrow(message);
  }
});
