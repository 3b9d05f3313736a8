import { describe, expect, test } from "bun:test";
import { formatDuration, parseDuration } from "../../src/lib/duration.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

// What Go's time.ParseDuration answers, in milliseconds.
const GOOD: readonly (readonly [string, number])[] = [
  ["0", 0],
  ["+0", 0],
  ["-0", 0],
  ["0s", 0],
  ["-0s", 0],
  ["5s", 5 * SECOND],
  ["30s", 30 * SECOND],
  ["1478s", 1478 * SECOND],
  ["-5s", -5 * SECOND],
  ["+5s", 5 * SECOND],
  ["5.0s", 5 * SECOND],
  ["5.6s", 5.6 * SECOND],
  ["5.s", 5 * SECOND],
  [".5s", 0.5 * SECOND],
  ["1.004s", 1004],
  ["1.00400s", 1004],
  ["100.00100s", 100_001],
  ["10ns", 0.00001],
  ["11us", 0.011],
  ["12µs", 0.012],
  ["12μs", 0.012],
  ["13ms", 13],
  ["14s", 14 * SECOND],
  ["15m", 15 * MINUTE],
  ["16h", 16 * HOUR],
  ["3h30m", 3.5 * HOUR],
  ["1h30m", 1.5 * HOUR],
  ["1.5h", 1.5 * HOUR],
  ["-2m", -2 * MINUTE],
  ["-1.5h", -1.5 * HOUR],
  ["10.5s4m", 4 * MINUTE + 10.5 * SECOND],
  ["-2m3.4s", -(2 * MINUTE + 3.4 * SECOND)],
  ["1h2m3s4ms5us6ns", HOUR + 2 * MINUTE + 3 * SECOND + 4.005006],
  ["39h9m14.425s", 39 * HOUR + 9 * MINUTE + 14.425 * SECOND],
  ["1s1s", 2 * SECOND],
  ["52763797000ns", 52_763.797],
  ["0.3333333333333333333h", 20 * MINUTE],
  ["0.100000000000000000000h", 6 * MINUTE],
  ["0.9223372036854775807h", 3_320_413.933267],
  [".00000000027777777777777778h", 0.001],
  ["0.00000000000000000000000001h", 0],
  ["00000000000000000000000000001s", SECOND],
  ["9007199254740993ns", 9_007_199_254.740993],
  ["9223372036854775807ns", 9_223_372_036_854.775],
  ["2562047h47m16.854775807s", 9_223_372_036_854.775],
  ["-9223372036854775808ns", -9_223_372_036_854.775],
];

const BAD: readonly (readonly [string, string])[] = [
  ["", 'time: invalid duration ""'],
  ["-", 'time: invalid duration "-"'],
  ["+", 'time: invalid duration "+"'],
  ["abc", 'time: invalid duration "abc"'],
  ["s", 'time: invalid duration "s"'],
  [".", 'time: invalid duration "."'],
  ["-.", 'time: invalid duration "-."'],
  [".s", 'time: invalid duration ".s"'],
  ["+.s", 'time: invalid duration "+.s"'],
  ["--1s", 'time: invalid duration "--1s"'],
  ["+-1s", 'time: invalid duration "+-1s"'],
  [" 1s", 'time: invalid duration " 1s"'],
  ["1s ", 'time: unknown unit "s " in duration "1s "'],
  ["5", 'time: missing unit in duration "5"'],
  ["00", 'time: missing unit in duration "00"'],
  ["0.5", 'time: missing unit in duration "0.5"'],
  ["1h30", 'time: missing unit in duration "1h30"'],
  ["1.2.3s", 'time: missing unit in duration "1.2.3s"'],
  ["5x", 'time: unknown unit "x" in duration "5x"'],
  ["3d", 'time: unknown unit "d" in duration "3d"'],
  ["1w", 'time: unknown unit "w" in duration "1w"'],
  ["1H", 'time: unknown unit "H" in duration "1H"'],
  ["1m-30s", 'time: unknown unit "m-" in duration "1m-30s"'],
  ["1e3s", 'time: unknown unit "e" in duration "1e3s"'],
  ["1,5h", 'time: unknown unit "," in duration "1,5h"'],
  ["Infinitys", 'time: invalid duration "Infinitys"'],
  ["\u0085 ", 'time: invalid duration "\\xc2\\x85 "'],
  ["1\uff53", 'time: unknown unit "\\xef\\xbd\\x93" in duration "1\\xef\\xbd\\x93"'],
  ['"\\', 'time: invalid duration "\\"\\\\"'],
  ["1\ns", 'time: unknown unit "\\x0as" in duration "1\\x0as"'],
  ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'],
  ["9223372036854775.808us", 'time: invalid duration "9223372036854775.808us"'],
  ["-9223372036854775809ns", 'time: invalid duration "-9223372036854775809ns"'],
  ["3000000h", 'time: invalid duration "3000000h"'],
  ["2562047h47m16.854775808s", 'time: invalid duration "2562047h47m16.854775808s"'],
  ["92233720368547758070ns", 'time: invalid duration "92233720368547758070ns"'],
];

// What Go's Duration.String writes.
const WRITTEN: readonly (readonly [number, string])[] = [
  [0, "0s"],
  [-0, "0s"],
  [0.000001, "1ns"],
  [0.0011, "1.1µs"],
  [0.1, "100µs"],
  [1, "1ms"],
  [2.2, "2.2ms"],
  [150, "150ms"],
  [999.999999, "999.999999ms"],
  [SECOND, "1s"],
  [3300, "3.3s"],
  [90 * SECOND, "1m30s"],
  [MINUTE, "1m0s"],
  [4 * MINUTE + 5001, "4m5.001s"],
  [15 * MINUTE, "15m0s"],
  [HOUR, "1h0m0s"],
  [5 * HOUR + 6 * MINUTE + 7001, "5h6m7.001s"],
  [48 * HOUR, "48h0m0s"],
  [-2 * MINUTE, "-2m0s"],
  [-0.5, "-500µs"],
  [30 * 24 * HOUR, "720h0m0s"],
];

describe("parseDuration answers as Go does", () => {
  test.each(GOOD)("%p", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });
  test.each(BAD)("%p is refused", (text, message) => {
    expect(() => parseDuration(text)).toThrow(new Error(message));
  });
});

describe("formatDuration writes as Go does", () => {
  test.each(WRITTEN)("%p", (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});

test("what is written reads back as the same", () => {
  let seed = 1;
  for (let round = 0; round < 2000; round++) {
    seed = (seed * 48_271) % 2_147_483_647;
    const milliseconds = (seed - 1_073_741_824) / (round % 2 === 0 ? 1 : 1000);
    expect(parseDuration(formatDuration(milliseconds))).toBeCloseTo(milliseconds, 6);
  }
});

test("a hostile length costs no more than its reading", () => {
  expect(() => parseDuration(`${"9".repeat(1_000_000)}s`)).toThrow("invalid duration");
  expect(parseDuration(`${"0".repeat(1_000_000)}1.${"0".repeat(1_000_000)}1s`)).toBe(1000);
});
