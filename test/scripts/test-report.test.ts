import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCounts, skippedTests } from "../../scripts/test-report.ts";
import { tempDir } from "../support/temp.ts";

const TOOLS = join(import.meta.dir, "../support/tools.ts");

const NEEDS_ZSTD = `
  import { describe, test } from "bun:test";
  import { needs } from ${JSON.stringify(TOOLS)};
  const skip = !needs("zstd");
  describe("a <group>", () => {
    test.skipIf(skip)("reads \\"zstd\\"", () => {});
    test("needs nothing", () => {});
    test.todo("not yet");
  });`;

/** Runs the real `bun test` on these files, with a PATH on which no tool is found. */
async function bunTest(files: Record<string, string>, env: Record<string, string> = {}) {
  const directory = tempDir();
  mkdirSync(join(directory, "test"));
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(directory, "test", `${name}.test.ts`), text);
  }
  const [report, missing] = [join(directory, "report.xml"), join(directory, "missing")];
  const child = Bun.spawn(
    [process.execPath, "test", "--reporter=junit", `--reporter-outfile=${report}`],
    {
      cwd: directory,
      env: { PATH: directory, PROMBACKUP_TEST_MISSING: missing, ...env },
      stdout: "ignore",
      stderr: "pipe",
    },
  );
  const output = await child.stderr.text();
  const status = await child.exited;
  return {
    status,
    counts: readCounts(output, status),
    skipped: await skippedTests(report, missing),
  };
}

describe("The report of a test run", () => {
  test("names each skipped test with the tools that its file misses", async () => {
    const { status, counts, skipped } = await bunTest({ "needs-zstd": NEEDS_ZSTD });
    expect(status).toBe(0);
    expect(counts).toEqual({ passed: 1, failed: 0 });
    expect(skipped).toEqual(['test/needs-zstd.test.ts: a <group> > reads "zstd" (needs zstd)']);
  });

  test("skips nothing under CI=true: a missing tool is a failure", async () => {
    const { status, counts, skipped } = await bunTest({ "needs-zstd": NEEDS_ZSTD }, { CI: "true" });
    expect(status).not.toBe(0);
    expect(counts.failed).toBe(1);
    expect(skipped).toEqual([]);
  });

  test("counts failed tests, and files that don't load", async () => {
    const fails = `import { expect, test } from "bun:test";
      test("prints a count", () => console.error(" 99 pass"));
      test("fails", () => expect(1).toBe(2));`;
    const { status, counts } = await bunTest({ fails, "does-not-load": 'throw new Error("no")' });
    expect(status).not.toBe(0);
    expect(counts).toEqual({ passed: 1, failed: 2 });
  });

  test("a run without any test is a failure", async () => {
    const { status, counts } = await bunTest({});
    expect(status).not.toBe(0);
    expect(counts).toEqual({ passed: 0, failed: 1 });
  });
});
