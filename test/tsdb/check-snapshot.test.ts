import { expect, test } from "bun:test";
import { checkSnapshot, type KnownBlock } from "../../src/tsdb/check-snapshot.ts";
import { parseBlockMeta } from "../../src/tsdb/meta.ts";
import { type Block, check, tinyBlock, withMeta } from "./support/blocks.ts";

const ulid = (letter: string) => `01M8204A0SY5ACHASGKYRYK1T${letter}`;
const HOUR = 3_600_000;

interface Given {
  readonly directory?: string;
  readonly parents?: readonly string[];
  readonly hints?: readonly string[];
}

/** A block of the hours `[from, to)`. */
function block(letter: string, from: number, to: number, given: Given = {}): KnownBlock {
  const { directory = ulid(letter), parents = [], hints = [] } = given;
  const meta = {
    version: 1,
    ulid: ulid(letter),
    minTime: from * HOUR,
    maxTime: to * HOUR,
    compaction: { level: 1, parents: parents.map((parent) => ({ ulid: ulid(parent) })), hints },
  };
  return { block: directory, meta: parseBlockMeta(JSON.stringify(meta)) };
}

const found = (...blocks: KnownBlock[]) =>
  checkSnapshot(blocks).map((finding) => [finding.kind, finding.block.slice(-1)]);

test("blocks side by side are sound, and so are none", () => {
  expect(found()).toEqual([]);
  expect(found(block("A", 0, 2), block("C", 4, 6), block("B", 2, 4))).toEqual([]);
});

test("a block that one of the others replaced would be deleted", () => {
  const findings = checkSnapshot([
    block("A", 0, 2),
    block("B", 2, 4),
    block("C", 4, 6, { parents: ["B", "D"] }),
  ]);
  expect(findings).toEqual([
    {
      kind: "blocks-superseded",
      severity: "error",
      block: ulid("B"),
      file: "",
      offset: undefined,
      message: `the block ${ulid("C")} names it as one that it replaces`,
      affects: undefined,
      consequence: "deletes the block",
      remedy: expect.stringContaining("leave the block out"),
    },
  ]);
});

test("so would one whose meta.json can't be read", () => {
  const unreadable = { block: ulid("B"), meta: undefined };
  expect(found(unreadable, block("C", 0, 2, { parents: ["B"] }))).toEqual([
    ["blocks-superseded", "B"],
  ]);
});

test("two directories with the ULID of one block", () => {
  const copy = block("A", 0, 2, { directory: ulid("B") });
  expect(found(block("A", 0, 2), copy)).toEqual([
    ["blocks-same-ulid", "B"],
    ["blocks-overlap", "B"],
  ]);
});

test("overlaps, with what reaches furthest so far", () => {
  expect(found(block("A", 0, 10), block("B", 1, 2), block("C", 3, 4), block("D", 10, 11))).toEqual([
    ["blocks-overlap", "B"],
    ["blocks-overlap", "C"],
  ]);
  expect(checkSnapshot([block("A", 0, 3), block("B", 2, 6)])[0]?.message).toBe(
    `it overlaps the block ${ulid("A")} from 1970-01-01T02:00:00.000Z to 1970-01-01T03:00:00.000Z`,
  );
});

test("blocks of late samples overlap others by their nature", () => {
  const late = block("B", 1, 2, { hints: ["from-out-of-order"] });
  expect(found(block("A", 0, 4), late, block("C", 4, 6))).toEqual([]);
});

test("a real block that is there twice, under one ULID or under two", async () => {
  const tiny = tinyBlock();
  const name = ulid("A");
  const renamed = withMeta({ ...tiny, name }, (meta) => {
    meta["ulid"] = name;
  });
  const foundIn = async (...blocks: Block[]) => {
    const results = await Promise.all(blocks.map((each) => check(each)));
    return checkSnapshot(results).map(({ kind }) => kind);
  };
  expect(await foundIn(tiny, { ...tiny, name })).toEqual(["blocks-same-ulid", "blocks-overlap"]);
  expect(await foundIn(tiny, renamed)).toEqual(["blocks-overlap"]);
});

test("a real block that a damaged one names as its parent", async () => {
  const tiny = tinyBlock();
  const name = ulid("A");
  const child = withMeta({ ...tiny, name }, (meta) => {
    meta["ulid"] = name;
    meta["compaction"] = { ...Object(meta["compaction"]), parents: [{ ulid: tiny.name }] };
  });
  const files = new Map(child.files);
  files.delete("index");
  const results = [await check(tiny), await check({ ...child, files })];
  expect(checkSnapshot(results)).toMatchObject([
    { kind: "blocks-superseded", block: tiny.name, consequence: "deletes the block" },
    { kind: "blocks-overlap" },
  ]);
});
