import { expect, test } from "bun:test";
import { NumberList } from "../../src/tsdb/number-list.ts";

test("keeps what was pushed, over many growths", () => {
  const list = new NumberList();
  for (let i = 0; i < 10_000; i++) list.push(i * 3e12);
  expect(list.length).toBe(10_000);
  for (let i = 0; i < 10_000; i++) expect(list.at(i)).toBe(i * 3e12);
});

test("has NaN where there is no item", () => {
  const list = new NumberList();
  list.push(7);
  expect([list.at(-1), list.at(0), list.at(1)]).toEqual([Number.NaN, 7, Number.NaN]);
});

test("finds each item of an ascending list, and no other number", () => {
  for (const length of [0, 1, 2, 3, 10, 257]) {
    const list = new NumberList();
    for (let i = 0; i < length; i++) list.push(10 * i);
    for (let i = 0; i < length; i++) expect(list.indexOfSorted(10 * i)).toBe(i);
    for (let i = -1; i < length; i++) expect(list.indexOfSorted(10 * i + 5)).toBe(-1);
  }
});
