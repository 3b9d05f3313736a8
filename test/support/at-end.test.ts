import { afterAll, expect, test } from "bun:test";
import { atEnd } from "./at-end.ts";

const order: string[] = [];

atEnd(() => {
  order.push("file, first");
});
atEnd(() => {
  order.push("file, second");
});
afterAll(() => expect(order.slice(2)).toEqual(["file, second", "file, first"]));

test("last come, first cleaned up", () => {
  atEnd(() => {
    order.push("test, first");
  });
  atEnd(() => {
    order.push("test, second");
  });
});

test("what a test asked for is done before the next test", () => {
  expect(order).toEqual(["test, second", "test, first"]);
});
