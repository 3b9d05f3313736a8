import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "../../scripts/build.ts";
import { run } from "../../scripts/run.ts";
import { tempDir } from "../support/temp.ts";

const PROGRAMS = ["prombackup", "prombackup-server"];

const EPOCH = "SOURCE_DATE_EPOCH";
const before = process.env[EPOCH];
beforeEach(() => {
  process.env[EPOCH] = "1700000000";
});
afterEach(() => {
  if (before === undefined) delete process.env[EPOCH];
  else process.env[EPOCH] = before;
});

describe("A build", () => {
  test("leaves the two programs, which tell their origin, and nothing else", async () => {
    const directory = tempDir();
    await build(directory);
    expect(readdirSync(directory).sort()).toEqual(PROGRAMS);
    for (const program of PROGRAMS) {
      const text = await run([join(directory, program), "--version"], { cwd: "/" });
      expect(text).toMatch(
        new RegExp(
          `^${program} \\d+\\.\\d+\\.\\d+ \\(commit (unknown|[0-9a-f]{7,}(-dirty)?), ` +
            `built 2023-11-14T22:13:20Z, bun ${Bun.version}, ${process.platform}/${process.arch}\\)\n$`,
        ),
      );
    }
  });

  test("is the same, byte for byte, when it is repeated", async () => {
    const [first, second] = [tempDir(), tempDir()];
    await build(first);
    await build(second);
    for (const program of PROGRAMS) {
      const bytes = await Bun.file(join(first, program)).bytes();
      expect(Buffer.from(bytes).equals(await Bun.file(join(second, program)).bytes())).toBe(true);
    }
  });

  test("refuses a SOURCE_DATE_EPOCH that is no time", async () => {
    process.env[EPOCH] = "yesterday";
    await expect(build(tempDir())).rejects.toThrow(
      'SOURCE_DATE_EPOCH must be whole seconds since 1970, not "yesterday"',
    );
  });
});

test("a compiled program takes no settings from files where it is started", async () => {
  const [directory, cwd] = [tempDir(), tempDir()];
  await build(directory);
  await Bun.write(join(cwd, ".env"), "PROMBACKUP_ENDPOINT=http://127.0.0.1:1\n");
  await Bun.write(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  await Bun.write(join(cwd, "evil.ts"), 'console.log("evil");\n');
  const child = Bun.spawn([join(directory, "prombackup"), "list"], {
    cwd,
    env: {},
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await child.stdout.text()).toBe("");
  // With the endpoint of .env it would be 1: nothing listens there.
  expect(await child.exited).toBe(2);
});
