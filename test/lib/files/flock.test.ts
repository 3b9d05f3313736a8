import { expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../src/lib/errors.ts";
import { tryFlock, unlockFlock } from "../../../src/lib/files/flock.ts";
import { tempDir } from "../../support/temp.ts";

const directory = tempDir();

function opened<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, "r");
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

test("shared locks stand beside each other, an exclusive one stands alone", () => {
  opened(directory, (first) => {
    expect(tryFlock(first, "shared")).toBe(true);
    opened(directory, (second) => {
      expect(tryFlock(second, "shared")).toBe(true);
    });
    opened(directory, (third) => {
      expect(tryFlock(third, "exclusive")).toBe(false);
    });
  });
  opened(directory, (first) => {
    expect(tryFlock(first, "exclusive")).toBe(true);
    opened(directory, (second) => {
      expect(tryFlock(second, "shared")).toBe(false);
      expect(tryFlock(second, "exclusive")).toBe(false);
    });
  });
});

test("closing the descriptor ends the lock", () => {
  for (let round = 0; round < 3; round++) {
    opened(directory, (fd) => {
      expect(tryFlock(fd, "exclusive")).toBe(true);
    });
  }
});

test("it is the lock of util-linux's flock", () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  const flock = (kind: string) => Bun.spawnSync(["flock", "-n", kind, file, "true"]).exitCode;
  opened(file, (fd) => {
    expect(tryFlock(fd, "shared")).toBe(true);
    expect(flock("-s")).toBe(0);
    expect(flock("-x")).toBe(1);
  });
  expect(flock("-x")).toBe(0);
});

test("a child process doesn't keep it", async () => {
  const child = opened(directory, (fd) => {
    expect(tryFlock(fd, "exclusive")).toBe(true);
    const started = Bun.spawn(["sleep", "60"]);
    unlockFlock(fd);
    return started;
  });
  opened(directory, (fd) => {
    expect(tryFlock(fd, "exclusive")).toBe(true);
  });
  child.kill("SIGKILL");
  await child.exited;
});

test("any other refusal has the system's words", () => {
  const bad = 1_000_000;
  expect(() => tryFlock(bad, "shared")).toThrow(
    new Failure("flock failed: bad file descriptor (EBADF)"),
  );
});
