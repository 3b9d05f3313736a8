import { describe, expect, test } from "bun:test";
import {
  choiceOfBoolean,
  defaulted,
  durationFrom,
  flagValue,
  goBoolean,
  httpUrl,
  oneOf,
  optional,
  required,
  text,
  toggle,
} from "../../../src/lib/command-line/flags.ts";
import { UsageError } from "../../../src/lib/errors.ts";

test("a boolean is spelled as Go spells it", () => {
  for (const yes of ["1", "t", "T", "TRUE", "true", "True"]) expect(goBoolean(yes)).toBeTrue();
  for (const no of ["0", "f", "F", "FALSE", "false", "False"]) expect(goBoolean(no)).toBeFalse();
  for (const other of ["", "yes", "tRUE", "2"])
    expect(() => goBoolean(other)).toThrow("invalid syntax");
});

describe("httpUrl", () => {
  const good: [string, string][] = [
    ["http://:9090", "http://localhost:9090/"],
    ["http://prometheus:9090", "http://prometheus:9090/"],
    ["http://proxy/prom", "http://proxy/prom/"],
    ["https://user:secret@host:1/x/", "https://user:secret@host:1/x/"],
    ["http://[::1]:9090", "http://[::1]:9090/"],
  ];
  test.each(good)("%s is %s", (value, href) => expect(httpUrl(value).href).toBe(href));
  test.each([[""], ["prometheus:9090"], ["ftp://x/"], ["http//x"], ["http://"], ["http://x/?a=b"]])(
    "%p is refused",
    (value) => {
      expect(() => httpUrl(value)).toThrow();
    },
  );
});

describe("a flag's value", () => {
  const keep = defaulted(durationFrom(0), "1h", { description: "", env: "KEEP" });
  test("comes from the command line, the environment, the default, in this order", () => {
    expect(flagValue("keep", keep, "2h", { KEEP: "3h" })).toBe(7_200_000);
    expect(flagValue("keep", keep, undefined, { KEEP: "3h" })).toBe(10_800_000);
    expect(flagValue("keep", keep, undefined, { KEEP: "" })).toBe(3_600_000);
    expect(flagValue("keep", keep, undefined, {})).toBe(3_600_000);
  });
  test("names where a malformed one stood", () => {
    expect(() => flagValue("keep", keep, "x", {})).toThrow('invalid value "x" for --keep');
    expect(() => flagValue("keep", keep, undefined, { KEEP: "x" })).toThrow(
      'invalid value "x" for KEEP',
    );
    expect(() => flagValue("keep", keep, "-1h", {})).toThrow(UsageError);
  });
  test("is required where there is no other", () => {
    const dir = required(text, { description: "", env: "DIR" });
    expect(() => flagValue("dir", dir, undefined, {})).toThrow("--dir (or DIR) is required");
    expect(flagValue("dir", dir, undefined, { DIR: "x" })).toBe("x");
  });
  test("of a boolean", () => {
    expect(flagValue("b", toggle({ description: "" }), undefined, {})).toBeFalse();
    expect(flagValue("b", toggle({ description: "", env: "B" }), undefined, { B: "T" })).toBeTrue();
    expect(flagValue("b", choiceOfBoolean({ description: "" }), undefined, {})).toBeUndefined();
    expect(flagValue("b", choiceOfBoolean({ description: "" }), "false", {})).toBeFalse();
  });
  test("is one of a list", () => {
    expect(() => oneOf(["tar", "tgz"])("zip")).toThrow('"zip" is not one of tar, tgz');
  });
});

test("a URL is told without the password in it", () => {
  const url = optional(httpUrl, { description: "" });
  expect(() => flagValue("server", url, "ftp://user:secret@host/", {})).toThrow(
    'invalid value "ftp://…@host/" for --server',
  );
});
