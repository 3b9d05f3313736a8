import { describe, expect, test } from "bun:test";
import { parseYaml } from "../../../src/lib/config/yaml.ts";
import { Failure } from "../../../src/lib/errors.ts";
import { randoms } from "../../tsdb/support/random.ts";

function refusal(text: string): string {
  try {
    parseYaml(text, "file");
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
  return "none";
}

describe("a key that stands twice is refused", () => {
  const repeated: [string, string, string][] = [
    ["in a block", "a: 1\nb: 2\na: 3\n", "a is repeated: lines 1, 3"],
    ["between brackets", "x: {a: 1, b: 2, a: 3}\n", "a is repeated: lines 1, 1"],
    ["over lines between brackets", "x: {\n  a: 1,\n  a: 2}\n", "a is repeated: lines 2, 3"],
    ["with quotes and without", "a: 1\n\"a\": 2\n'a': 3\n", "a is repeated: lines 1, 2, 3"],
    ["with an escape", 'a: 1\n"\\u0061": 2\n', "a is repeated: lines 1, 2"],
    ["with an escape that JSON lacks", 'a: 1\n"\\x61": 2\n', "line 2: a key is not read"],
    ["behind an anchor", "a: 1\n&x a: 2\n", "a is repeated"],
    ["behind a tag", "a: 1\n!!str a: 2\n", "a is repeated"],
    ["in the long form", "? a\n: 1\n? a\n: 2\n", "another form than key: value"],
    ["in a mapping of a list", "x:\n- a: 1\n  a: 2\n", "a is repeated: lines 2, 3"],
    ["beside one that may be there twice", "x: {a: 1, a: 2}\ny: {a: 3}\n", "lines 1, 1, 2"],
    ["after a block of text", "a: |\n  b: 1\n  # c\n\nb: 1\na: 2\n", "a is repeated: lines 1, 6"],
    ["with carriage returns", "a: 1\r\nb: 2\r\na: 3\r\n", "a is repeated: lines 1, 3"],
  ];
  test.each(repeated)("%s", (_, text, message) => {
    expect(refusal(text)).toContain(message);
  });
});

describe("a key that would be read as another is refused", () => {
  test.each(["007", "0x10", "1.0", "1e3", "+1", "True", "~", ".inf", "12345678901234567890123"])(
    "%s",
    (key) => {
      const message = "line 2: a key is not read as it stands there: put it in quotes";
      expect(refusal(`x:\n  ${key}: 1\n`)).toContain(message);
      expect(refusal(`x: {\n ${key}: 1}\n`)).toContain(message);
      expect(refusal(`x:\n  "${key}": 1\n  '${key}s': 1\n`)).toBe("none");
    },
  );

  test("123, yes and true are read as they stand", () => {
    const section = parseYaml("123: a\nyes: b\ntrue: c\n2001-01-01: d\n", "file");
    expect(section.keys.sort()).toEqual(["123", "2001-01-01", "true", "yes"]);
  });
});

test("a word where a colon was forgotten is not told, since it may be a secret", () => {
  for (const text of ["a: {user: b, hunter2}", "a: {user: b, password hunter2}"])
    expect(refusal(text)).toBe("file: a key stands there in another form than key: value");
  for (const text of ["a: {user: b, hunter2: }", "a:\n  user: b\n  password hunter2:\n"]) {
    const section = parseYaml(text, "file").section("a");
    section?.text("user");
    expect(() => section?.end()).toThrow("a holds something that is neither a known key nor has");
  }
});

test("all that is well-formed is taken, in either style", () => {
  const { below } = randoms("yaml");
  const pick = <T>(choices: readonly T[]) => choices[below(choices.length)];
  const words = [
    ...["a", "b c", "007", "true", "null", "~", "x: y", "- a", "#c", "a#b", "'q'", '"d"', "é", ""],
    ...["1.0", "a\nb", "|", "> x", "[a]", "{b}", "&a", "*b", "!c", "%d", "@e", "`f", "0x10", "a,b"],
    ...["a]", "\\", "tab\tx", " lead", "trail ", "http://x:8/", "---", "...", "?", "? a", ":"],
  ];
  const value = (depth: number): unknown => {
    switch (below(depth > 3 ? 3 : 5)) {
      case 0:
        return pick(words);
      case 1:
        return below(1000);
      case 2:
        return pick([true, false, null]);
      case 3:
        return Array.from({ length: below(4) }, () => value(depth + 1));
      default:
        return mapping(depth + 1);
    }
  };
  const mapping = (depth: number): Record<string, unknown> =>
    Object.fromEntries(Array.from({ length: below(5) }, () => [String(pick(words)), value(depth)]));
  for (let i = 0; i < 1000; i++) {
    const document = { key: 1, ...mapping(0) };
    for (const indent of [0, 2]) {
      const text = Bun.YAML.stringify(document, null, indent);
      expect([text, refusal(text)]).toEqual([text, "none"]);
    }
  }
});

test("comments, anchors, merged mappings, long texts and documents with marks are taken", () => {
  const text = `%YAML 1.2
---
# a: b
x: &x {a: 1} # a: 2
y:
  <<: *x
  b: "a: # b"
  c: it's # a: 3
  d: http://host:80/#a
  e: >-
    a: 1

    # a: 2
  f:
    - |
      a: 1
    - g: 1
...
`;
  expect(refusal(text)).toBe("none");
});
