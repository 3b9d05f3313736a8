import { expect, test } from "bun:test";
import { seriesText, timeText } from "../../../src/tsdb/index/series-text.ts";
import { Symbols } from "../../../src/tsdb/index/symbols.ts";

/** The text of a series whose names and values are these. */
function textOf(...strings: string[]): string {
  const parts = strings.map((string) => new TextEncoder().encode(string));
  const bounds: number[] = [];
  for (const { length } of parts) {
    const start = bounds.at(-1) ?? 0;
    bounds.push(start, start + length);
  }
  const symbols = new Symbols(new Uint8Array(Buffer.concat(parts)), Uint32Array.from(bounds));
  return seriesText([...strings.keys()], symbols);
}

test.each([
  ["up", ["__name__", "up"]],
  ['up{job="a", zone="b"}', ["__name__", "up", "job", "a", "zone", "b"]],
  ['{job="a"}', ["job", "a"]],
  ['up{path="C:\\\\x\\n\\"y\\""}', ["__name__", "up", "path", 'C:\\x\n"y"']],
  ['{"a metric\\n", "a label"="x"}', ["__name__", "a metric\n", "a label", "x"]],
])("a series is named as queries do: %s", (expected, strings) => {
  expect(textOf(...strings)).toBe(expected);
});

test("a long series is cut", () => {
  const text = textOf("__name__", "up", "job", "x".repeat(1000));
  expect(text).toHaveLength(301);
  expect(text).toEndWith("x…");
});

test("times are dates, as far as dates go", () => {
  expect(timeText(1_700_000_000_000)).toBe("2023-11-14T22:13:20.000Z");
  expect(timeText(-1)).toBe("1969-12-31T23:59:59.999Z");
  expect(timeText(9e15)).toBe("9000000000000000");
});
