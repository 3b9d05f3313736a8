import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { helpCommands, programHelp } from "../../src/commands/help.ts";
import { EXIT } from "../../src/lib/command-line/program.ts";
import { PROBLEMS } from "../../src/tsdb/problems.ts";
import { UNPROTECTED } from "./support/unprotected.ts";

/** docs/verify.md says what the code does. */

const page = readFileSync(join(import.meta.dir, "../../docs/verify.md"), "utf8");

/** The text under a heading. */
function section(heading: string): string {
  return page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
}

/** The cells of its table's rows. */
function rows(heading: string): string[][] {
  const lines = section(heading).match(/^\|.*\|$/gm) ?? [];
  return lines.slice(2).map((line) => line.slice(2, -2).split(" | "));
}

test("every kind of finding is told with its severity, consequence and remedy", () => {
  const told = rows("Findings").map(([kind, severity, consequence, what, remedy]) => {
    expect(what).toMatch(/\.$/);
    return [kind, severity, consequence, remedy];
  });
  const known = Object.entries(PROBLEMS).map(([kind, { severity, consequence, remedy }]) => [
    `\`${kind}\``,
    severity,
    consequence,
    remedy,
  ]);
  expect(told).toEqual(known);
});

test("every consequence is explained", () => {
  const explained = [...section("Findings").matchAll(/^- \*(.*?)\*:/gm)].map(([, name]) => name);
  const known = new Set<string>(Object.values(PROBLEMS).map(({ consequence }) => consequence));
  expect(explained.sort()).toEqual([...known].sort());
});

test("the exit statuses are those of the program", () => {
  const statuses = rows("Exit status").map(([status]) => status);
  expect(statuses).toEqual([...Object.values(EXIT).sort().map(String), "129, 130, 143"]);
});

test("the program's help tells all of them", () => {
  const [, statuses = ""] = /^Exit status: (.*?)\.\n/ms.exec(programHelp(helpCommands([]))) ?? [];
  const told = statuses.match(/\b\d+\b/g)?.map(Number);
  expect(told).toEqual([...Object.values(EXIT).sort(), 129, 130, 143]);
});

test("what may change unseen is what the test of turned bits lets pass", () => {
  const list = section("What no checksum covers").match(/^- .*$/gm) ?? [];
  expect(list.map((line) => line.slice(2))).toEqual(UNPROTECTED.map(({ what }) => what));
});
