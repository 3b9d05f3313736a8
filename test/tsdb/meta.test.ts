import { describe, expect, test } from "bun:test";
import { isUlid, parseBlockMeta } from "../../src/tsdb/meta.ts";

const ULID = "01M8204A0SY5ACHASGKYRYK1T9";
const REAL = {
  ulid: ULID,
  minTime: 1_700_000_000_000,
  maxTime: 1_700_000_015_001,
  stats: { numSamples: 3, numSeries: 2, numChunks: 2 },
  compaction: { level: 1, sources: [ULID] },
  version: 1,
};

const parse = (change: Record<string, unknown>) =>
  parseBlockMeta(JSON.stringify({ ...REAL, ...change }));

test("reads what Prometheus writes, with what it leaves out", () => {
  expect(parse({})).toEqual({
    version: 1,
    ulid: ULID,
    minTime: 1_700_000_000_000,
    maxTime: 1_700_000_015_001,
    stats: {
      numSamples: 3,
      numSeries: 2,
      numChunks: 2,
      numTombstones: 0,
      numFloatSamples: undefined,
      numHistogramSamples: undefined,
    },
    compaction: { level: 1, sources: [ULID], parents: [], deletable: false, hints: [] },
  });
});

test("reads what compaction writes", () => {
  const parents = [{ ulid: "01M8204A0SY5ACHASGKYRYK1TA", minTime: 1, maxTime: 2 }];
  const rest = { sources: [ULID], deletable: true, hints: ["from-out-of-order"] };
  const compaction = { level: 3, parents, ...rest };
  expect(parse({ compaction }).compaction).toEqual({
    level: 3,
    parents: ["01M8204A0SY5ACHASGKYRYK1TA"],
    ...rest,
  });
});

test("takes names in any case and null for what is left out, as Prometheus does", () => {
  const compaction = { Level: 2, DELETABLE: true, parents: null, sources: null, hints: null };
  expect(parse({ compaction, stats: null })).toMatchObject({
    stats: { numSamples: 0 },
    compaction: { level: 2, deletable: true, parents: [], sources: [], hints: [] },
  });
  expect(parse({ compaction: { parents: [{ minTime: 1 }] } }).compaction.parents).toEqual([]);
});

describe("does not read", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["version 3", { version: 3 }, "version 3, not 1"],
    ["no version", { version: undefined }, "version undefined, not 1"],
    ["no ULID", { ulid: "block" }, "no valid ulid"],
    ["a time with a fraction", { minTime: 0.5 }, "minTime is not a whole number"],
    ["no end", { maxTime: undefined }, "maxTime is not a whole number"],
    ["an end before the start", { maxTime: 5 }, "after maxTime 5"],
    ["a negative count", { stats: { numSeries: -1 } }, "numSeries is negative"],
    ["a list as statistics", { stats: [] }, "stats is not an object"],
    ["parents that are none", { compaction: { parents: 3 } }, "parents is not a list"],
    ["a parent that is none", { compaction: { parents: [7] } }, "a parent is not an object"],
    ["a parent of a short ULID", { compaction: { parents: [{ ulid: "01M" }] } }, "26 characters"],
    ["a source of a short ULID", { compaction: { sources: ["01M"] } }, "26 characters"],
    [
      "a source of a turned bit",
      { compaction: { sources: [`\ufffd${ULID.slice(1)}`] } },
      "26 char",
    ],
    ["a hint that is none", { compaction: { hints: [1] } }, "a hint is not a text"],
    ["a word for a flag", { compaction: { deletable: "no" } }, "deletable is not true or false"],
    ["a number for a flag", { compaction: { failed: 1 } }, "failed is not true or false"],
    ["hints that are none", { compaction: { hints: "x" } }, "hints is not a list"],
  ])("%s", (_, change, message) => {
    expect(() => parse(change)).toThrow(message);
  });

  test.each(["", "{", "[]", "null", "7"])("the text %j", (text) => {
    expect(() => parseBlockMeta(text)).toThrow("meta.json");
  });
});

test("tells ULIDs from other names", () => {
  expect(isUlid(ULID)).toBe(true);
  for (const name of [
    "",
    "wal",
    ULID.toLowerCase(),
    `${ULID}0`,
    `8${ULID.slice(1)}`,
    `${ULID}.tmp`,
  ]) {
    expect(isUlid(name)).toBe(false);
  }
});
