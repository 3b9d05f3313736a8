import { expect, test } from "bun:test";
import { progressLine } from "../../../src/lib/command-line/progress.ts";
import { counted, formatBytes, formatSeconds, formatTime, table } from "../../../src/lib/units.ts";

test("the line tells bytes and rate, and percent and time left where the size is known", () => {
  const MiB = 1024 * 1024;
  expect(progressLine(10 * MiB, 2, undefined)).toBe("10.0 MiB  5.0 MiB/s");
  expect(progressLine(10 * MiB, 2, 40 * MiB)).toBe("10.0 MiB  5.0 MiB/s  25%  6s left");
  expect(progressLine(0, 0, 40 * MiB)).toStartWith("0 B  0 B/s  0%");
  expect(progressLine(50 * MiB, 1, 40 * MiB)).toBe("50.0 MiB  50.0 MiB/s  100%  0s left");
});

test("units for people", () => {
  expect([0, 1023, 1024, 1536, 1048575, 1048576].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "1.0 MiB",
    "1.0 MiB",
  ]);
  expect([5, 59.6, 185, 7800].map(formatSeconds)).toEqual(["5s", "1m00s", "3m05s", "2h10m"]);
  expect(formatTime(new Date("2026-11-22T15:58:36.9Z"))).toBe("2026-11-22 15:58:36Z");
  expect([formatTime(undefined), formatTime(new Date(Number.NaN))]).toEqual(["-", "-"]);
  expect([counted(1, "block"), counted(2, "block")]).toEqual(["1 block", "2 blocks"]);
});

test("columns are as wide as what stands in them", () => {
  expect(
    table(
      ["NAME", "N"],
      [
        ["a", "1"],
        ["longer", "10"],
      ],
      ["N"],
    ),
  ).toBe("NAME     N\na        1\nlonger  10\n");
});
