import { expect, test } from "bun:test";
import type { ExistingBlock } from "../../../src/restore/data-dir.ts";
import type { SurveyedBlock } from "../../../src/restore/intake/survey.ts";
import { choose, type Wishes } from "../../../src/restore/plan/choose.ts";
import { blockMeta, type Made, ulid } from "../metas.ts";

const ALL: Wishes = { only: undefined, notAfter: undefined, skipDamaged: false };

function archived(made: Made & { name: string }, errors: readonly string[] = []): SurveyedBlock {
  return { ulid: ulid(made.name), meta: blockMeta(made), files: new Map(), bytes: 1, errors };
}

function existing(made: Made & { name: string }): ExistingBlock {
  return { block: ulid(made.name), meta: blockMeta(made), files: new Map(), bytes: 1 };
}

/** What becomes of each block, with the letters in place of the names. */
function actions(...args: Parameters<typeof choose>): string[] {
  return choose(...args).blocks.map(({ ulid, action, why }) => {
    const reason = why?.replace(/01(.)\1{23}/g, "$1");
    return `${ulid.at(-1)}: ${action}${reason === undefined ? "" : ` (${reason})`}`;
  });
}

test("all blocks are restored where there are none", () => {
  const [a, b] = [archived({ name: "A" }), archived({ name: "B", minTime: 2, maxTime: 3 })];
  expect(actions([a, b], [], ALL)).toEqual(["A: restore", "B: restore"]);
});

test("a block that is there, or of which another one there was made, is not needed", () => {
  const there = [
    existing({ name: "A" }),
    existing({ name: "C", parents: ["B"], sources: ["B", "X"] }),
    existing({ name: "E", sources: ["D", "Y", "Z"] }),
  ];
  const all = ["A", "B", "D", "F"].map((name) => archived({ name }));
  const compacted = archived({ name: "G", sources: ["Y", "Z"] });
  expect(actions([...all, compacted], there, ALL)).toEqual([
    "A: not needed (there already)",
    "B: not needed (block C was compacted from it)",
    "D: not needed (block E holds its samples)",
    "F: restore",
    "G: not needed (block E holds its samples)",
  ]);
});

test("within an archive a block wins over those it was compacted from", () => {
  const all = [archived({ name: "A" }), archived({ name: "B", parents: ["A"], sources: ["A"] })];
  expect(actions(all, [], ALL)).toEqual([
    "A: not needed (block B was compacted from it)",
    "B: restore",
  ]);
  const onlyA = { ...ALL, only: new Set([ulid("A")]) };
  expect(actions(all, [], onlyA)).toEqual(["A: restore", "B: leave out (not asked for)"]);
});

test("a block that is asked for by name takes the place of the one that is there", () => {
  const wishes = { ...ALL, only: new Set([ulid("A")]) };
  expect(actions([archived({ name: "A" })], [existing({ name: "A" })], wishes)).toEqual([
    "A: replace (the one that is there is moved aside)",
  ]);
});

test("damaged blocks and those of the future are left out on demand", () => {
  const all = [archived({ name: "A" }, ["index is missing"]), archived({ name: "B", maxTime: 9 })];
  expect(actions(all, [], ALL)).toEqual(["A: restore", "B: restore"]);
  expect(actions(all, [], { ...ALL, skipDamaged: true, notAfter: 8 })).toEqual([
    "A: leave out (damaged: index is missing)",
    "B: leave out (of the future)",
  ]);
});

test("overlaps are told, and what Prometheus will delete of the target", () => {
  const there = [
    existing({ name: "A", maxTime: 5 }),
    existing({ name: "P", minTime: 20, maxTime: 30 }),
  ];
  const all = [
    archived({ name: "B", minTime: 4, maxTime: 6 }),
    archived({ name: "C", minTime: 20, maxTime: 30, parents: ["P"], sources: ["P", "Q"] }),
  ];
  const { overlaps, superseded } = choose(all, there, ALL);
  expect(superseded).toEqual([ulid("P")]);
  expect(overlaps[0]).toStartWith(`block ${ulid("B")}: it overlaps the block ${ulid("A")}`);
});
