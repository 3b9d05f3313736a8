import { expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../../src/lib/errors.ts";
import { statusAt, statusOf } from "../../../src/lib/files/status.ts";
import { makeSnapshot } from "../../archive/read-support.ts";
import { atEnd } from "../../support/at-end.ts";
import { cleanEnvironment, commandLine } from "../../support/programs.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";

const dir = tempDir();
const fd = openSync(dir, "r");
atEnd(() => closeSync(fd));

const TIMES = [-5, -0.25, 0, 1_700_000_000.123456, 2 ** 31 + 0.5, 2 ** 33];

test("tells of files what Node tells", () => {
  for (const [i, time] of TIMES.entries()) {
    const name = `é ${i}`;
    writeFileSync(join(dir, name), "");
    truncateSync(join(dir, name), i * 3e9);
    // Bun takes no time before 1970.
    Bun.spawnSync(["touch", "-d", `@${time}`, join(dir, name)]);
    const { size, mtimeMs, ino } = lstatSync(join(dir, name));
    expect([size, mtimeMs / 1000]).toEqual([i * 3e9, expect.closeTo(time, 5)]);
    const status = statusAt(fd, name);
    expect(status).toMatchObject({ type: "file", size, ino, mtimeMs: expect.closeTo(mtimeMs, 2) });
    const file = openSync(join(dir, name), "r");
    expect(statusOf(file)).toEqual(status);
    closeSync(file);
  }
});

test("tells directories, and doesn't follow links", () => {
  mkdirSync(join(dir, "below"));
  symlinkSync("below", join(dir, "link"));
  expect(statusAt(fd, "below").type).toBe("directory");
  expect(statusAt(fd, "link").type).toBe("other");
  expect(statusOf(fd)).toMatchObject({ type: "directory", ino: fstatSync(fd).ino });
});

test("tells file systems apart", () => {
  const proc = openSync("/proc", "r");
  expect(statusOf(proc).dev).not.toBe(statusOf(fd).dev);
  closeSync(proc);
});

test.skipIf(!needs("strace"))("asks by other calls where a sandbox refuses statx(2)", () => {
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=statx:error=EPERM"];
  const verify = commandLine("prombackup", ["verify", makeSnapshot(tempDir())]);
  const child = Bun.spawnSync([...strace, ...verify], { env: cleanEnvironment() });
  expect([child.exitCode, child.stderr.toString()]).toEqual([0, ""]);
});

test("throws the system's errors", () => {
  for (const [name, code] of [
    ["absent", "ENOENT"],
    ["n".repeat(256), "ENAMETOOLONG"],
  ] as const) {
    let thrown: unknown;
    try {
      statusAt(fd, name);
    } catch (error) {
      thrown = error;
    }
    expect(errorCode(thrown)).toBe(code);
  }
  expect(() => statusAt(fd, "n".repeat(2000))).toThrow("too long");
  expect(() => statusOf(9999)).toThrow("EBADF");
});
