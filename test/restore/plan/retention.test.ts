import { describe, expect, test } from "bun:test";
import {
  forecast,
  parsePrometheusDuration,
  parsePrometheusSize,
  parseRetention,
} from "../../../src/restore/plan/retention.ts";
import { blockMeta } from "../metas.ts";

const HOUR = 3_600_000;
const NOW = 1_000_000 * HOUR;
const NONE = { time: undefined, bytes: undefined, percentage: undefined };

function blocks(...ends: number[]) {
  return ends.map((hours, i) => ({
    block: String(i),
    meta: blockMeta({ minTime: NOW - hours * HOUR - 1, maxTime: NOW - hours * HOUR }),
    bytes: 100,
  }));
}

describe("the forecast of what retention deletes", () => {
  const names = (...args: Parameters<typeof forecast>) =>
    forecast(...args).map(({ block, limit }) => `${block} ${limit}`);

  test("counts time from now, when the newest block is old", () => {
    const all = blocks(30, 20, 10);
    expect(names(all, { ...NONE, time: 20 * HOUR }, NOW, 0)).toEqual(["1 time", "0 time"]);
    expect(names(all, { ...NONE, time: 30 * HOUR + 1 }, NOW, 0)).toEqual([]);
  });

  test("counts time from the newest block, when that is of the future", () => {
    expect(names(blocks(10, -20), { ...NONE, time: 30 * HOUR }, NOW, 0)).toEqual(["0 time"]);
  });

  test("counts size from the newest block on", () => {
    expect(names(blocks(3, 1, 2), { ...NONE, bytes: 200 }, NOW, 0)).toEqual(["0 bytes"]);
    expect(names(blocks(3, 1, 2), { ...NONE, percentage: 20 }, NOW, 1000)).toEqual([
      "0 percentage",
    ]);
    expect(names(blocks(3, 1, 2), NONE, NOW, 1000)).toEqual([]);
  });
});

test.each([
  ["15d", 15 * 24 * HOUR],
  ["1y2w3d4h5m6s7ms", ((365 + 14 + 3) * 24 + 4) * HOUR + 5 * 60_000 + 6007],
  ["0s", 0],
  ["0", 0],
  ["", undefined],
  ["1.5d", undefined],
  ["5", undefined],
  ["3h1d", undefined],
])("the duration %j is %p ms", (text, expected) => {
  expect(parsePrometheusDuration(text)).toBe(expected);
});

test.each([
  ["0B", 0],
  ["512MB", 512 * 1024 ** 2],
  ["1GiB512MiB", 1.5 * 1024 ** 3],
  ["1GiBx", undefined],
  ["", undefined],
  ["1.5GiB", 1.5 * 1024 ** 3],
  ["2EB", 2 * 1024 ** 6],
  ["512", undefined],
  ["5d", undefined],
])("the size %j is %p bytes", (text, expected) => {
  expect(parsePrometheusSize(text)).toBe(expected);
});

test("several limits stand in one flag", () => {
  expect(parseRetention("1d,1KB,80%")).toEqual({ time: 24 * HOUR, bytes: 1024, percentage: 80 });
  expect(() => parseRetention("1d,tomorrow")).toThrow('"tomorrow" is neither');
});
