import { expect, test } from "bun:test";
import { type LogLevel, logfmt, plainLog, serverLog } from "../../src/lib/log.ts";

const LOGFMT = { format: "logfmt", level: "info" } as const;

test("logfmt quotes what isn't plain, and lets no control character through", () => {
  expect(
    logfmt({ a: 1, b: "plain/x.tar:8080", c: "two words", d: undefined, e: "", f: true }),
  ).toBe('a=1 b=plain/x.tar:8080 c="two words" e="" f=true');
  expect(logfmt({ a: 'say "x"=y\\' })).toBe('a="say \\"x\\"=y\\\\"');
  expect(logfmt({ a: "\u001b[31m\n\u009b\u202ex" })).toBe('a="\\u001b[31m\\n\\u009b\\u202ex"');
});

test("the server's log is a line an event", () => {
  const lines: string[] = [];
  const log = serverLog((line) => lines.push(line), LOGFMT);
  log.info("first", { n: 1 });
  log.warn("second one");
  log.error("third", { error: "a b" });
  expect(lines.map((line) => line.replace(/time=\S+/, "time=T"))).toEqual([
    "time=T level=INFO msg=first n=1\n",
    'time=T level=WARN msg="second one"\n',
    'time=T level=ERROR msg=third error="a b"\n',
  ]);
});

test("repeated lines aren't held back", () => {
  const lines: string[] = [];
  const log = serverLog((line) => lines.push(line), LOGFMT);
  for (let i = 0; i < 20; i++) log.info("same");
  expect(lines).toHaveLength(20);
});

test("the command line's messages are the text alone", () => {
  const lines: string[] = [];
  const log = plainLog("prombackup", (line) => lines.push(line));
  log.info("wrote x");
  log.warn("stays");
  expect(lines).toEqual(["prombackup: wrote x\n", "prombackup: warning: stays\n"]);
});

test("as JSON, it is an object a line, with no control character raw", () => {
  const lines: string[] = [];
  const log = serverLog((line) => lines.push(line), { format: "json", level: "info" });
  log.warn("odd name", { name: "\u001b[31m\n\u009b\u202ex", n: 1 });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^[ -~]+\n$/);
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    level: "WARN",
    msg: "odd name",
    name: "\u001b[31m\n\u009b\u202ex",
    n: 1,
  });
});

test.each([
  ["debug", ["a", "b", "c"]],
  ["info", ["a", "b", "c"]],
  ["warn", ["b", "c"]],
  ["error", ["c"]],
] satisfies [LogLevel, string[]][])(
  "at level %s, what is less severe is left out",
  (level, expected) => {
    const lines: string[] = [];
    const log = serverLog((line) => lines.push(line), { format: "logfmt", level });
    log.info("a");
    log.warn("b");
    log.error("c");
    expect(lines.map((line) => /msg=(\w+)/.exec(line)?.[1] ?? "")).toEqual(expected);
  },
);
