import { expect, test } from "bun:test";
import { logfmt, logfmtLog, plainLog } from "../../src/lib/log.ts";

test("logfmt quotes what isn't plain, and lets no control character through", () => {
  expect(
    logfmt({ a: 1, b: "plain/x.tar:8080", c: "two words", d: undefined, e: "", f: true }),
  ).toBe('a=1 b=plain/x.tar:8080 c="two words" e="" f=true');
  expect(logfmt({ a: 'say "x"=y\\' })).toBe('a="say \\"x\\"=y\\\\"');
  expect(logfmt({ a: "\u001b[31m\n\u009b\u202ex" })).toBe('a="\\u001b[31m\\n\\u009b\\u202ex"');
});

test("the server's log is a line an event", () => {
  const lines: string[] = [];
  const log = logfmtLog((line) => lines.push(line));
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
  const log = logfmtLog((line) => lines.push(line));
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
