import { describe, expect, test } from "bun:test";
import { parseArgv } from "../../../src/lib/command-line/argv.ts";
import {
  defaulted,
  durationFrom,
  optional,
  text,
  toggle,
} from "../../../src/lib/command-line/flags.ts";
import { UsageError } from "../../../src/lib/errors.ts";

const flags = {
  "keep-within": defaulted(durationFrom(0), "1h", { description: "" }),
  output: optional(text, { description: "" }),
  json: toggle({ description: "" }),
};

describe("accepted", () => {
  const accepted: [string[], Record<string, string>, string[]][] = [
    [["-keep_within", "12h"], { "keep-within": "12h" }, []],
    [["--keep-within", "12h"], { "keep-within": "12h" }, []],
    [["--keep.within=12h"], { "keep-within": "12h" }, []],
    [["-keep-within=1h", "--keep_within=2h"], { "keep-within": "2h" }, []],
    [["-output", "-"], { output: "-" }, []],
    [["-output=a=b"], { output: "a=b" }, []],
    [["-output=--json"], { output: "--json" }, []],
    [["-output", "-5"], { output: "-5" }, []],
    [["--json", "create"], { json: "true" }, ["create"]],
    [["-json=false", "a", "-output", "x", "b"], { json: "false", output: "x" }, ["a", "b"]],
    [["-"], {}, ["-"]],
    [["--", "--json", "-x"], {}, ["--json", "-x"]],
    [[], {}, []],
  ];
  test.each(accepted)("%p", (argv, given, operands) => {
    const parsed = parseArgv(argv, flags);
    expect(Object.fromEntries(parsed.flags)).toEqual(given);
    expect(parsed.operands).toEqual(operands);
  });

  test.each([["-h"], ["-help"], ["--help"]])("%s asks for help", (word) => {
    expect(parseArgv([word], flags).help).toBeTrue();
  });

  test("help and version take a boolean's value", () => {
    expect(parseArgv(["--help=true"], flags).help).toBeTrue();
    expect(parseArgv(["-version=0"], flags).version).toBeFalse();
    expect(() => parseArgv(["--help=maybe"], flags)).toThrow(UsageError);
  });

  test.each([["-version"], ["--version"]])("%s asks for the version", (word) => {
    expect(parseArgv([word], flags).version).toBeTrue();
  });
});

describe("refused, naming the flag", () => {
  const refused: [string[], string][] = [
    [["--bogus"], "unknown flag: --bogus"],
    [["-bogus=1"], "unknown flag: -bogus"],
    [["--keep"], "did you mean --keep-within?"],
    [["-output"], "flag needs a value: --output"],
    [["--output="], "flag needs a value: --output"],
    [["--output", ""], "flag needs a value: --output"],
    [["--output", "--json"], "flag needs a value: --output (--json behind it is a flag"],
    [["--json", "--constructor"], "unknown flag: --constructor"],
    [["---json"], "unknown flag: ---json"],
    [["--no-json"], "unknown flag: --no-json"],
  ];
  test.each(refused)("%p", (argv, message) => {
    expect(() => parseArgv(argv, flags)).toThrow(UsageError);
    expect(() => parseArgv(argv, flags)).toThrow(message);
  });
});
