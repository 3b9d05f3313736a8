import { expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { Spool } from "../../src/tsdb/spool.ts";
import { tempDir } from "../support/temp.ts";
import { randoms } from "./support/random.ts";

const MEMORY = Number.POSITIVE_INFINITY;

test.each([
  ["in memory", MEMORY],
  ["in a temporary file from the first byte on", 0],
  ["in a temporary file from some byte on", 1_000_000],
])("gives back any part of what was pushed, %s", (_, limit) => {
  const random = randoms("spool");
  const bytes = random.bytes(3_000_000);
  using spool = new Spool(0, limit);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + 1 + random.below(200_000), bytes.length);
    const piece = bytes.slice(at, end);
    spool.push(piece);
    piece.fill(0); // It is not the spool's.
    at = end;
  }
  expect(spool.size).toBe(bytes.length);
  const held = spool.hold(1_234_567, 1_234_667);
  for (let round = 0; round < 300; round++) {
    const start = random.below(bytes.length);
    const end = Math.min(start + random.below(round % 10 === 0 ? 3_000_000 : 100), bytes.length);
    expect(Buffer.compare(spool.read(start, end), bytes.subarray(start, end))).toBe(0);
  }
  expect(Buffer.compare(held, bytes.subarray(1_234_567, 1_234_667))).toBe(0);
});

test("an empty file has no bytes", () => {
  using spool = new Spool();
  expect([spool.size, spool.read(0, 0).length]).toEqual([0, 0]);
});

test("its temporary file has no name, and ends with it", () => {
  // That of all tests has the files of others.
  const directory = tempDir();
  inTemporary(directory, () => {
    const spool = new Spool(0, 0);
    spool.push(Uint8Array.of(1, 2, 3));
    expect(openFiles().some((file) => file.startsWith(`${directory}/prombackup-spool`))).toBe(true);
    expect(readdirSync(directory)).toEqual([]);
    spool.close();
    spool.close();
    expect(spool.size).toBe(0);
    expect(openFiles().filter((file) => file.startsWith(directory))).toEqual([]);
  });
});

test("says what to do when the temporary file can't be made", () => {
  inTemporary("/nonexistent", () => {
    using spool = new Spool(0, 0);
    expect(() => spool.push(Uint8Array.of(1))).toThrow(
      /cannot keep a large index in \/nonexistent: .*; free space there, or name another directory in TMPDIR/,
    );
  });
});

/** Does something while temporary files go to another directory. */
function inTemporary(directory: string, act: () => void): void {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = directory;
  try {
    act();
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

/** What this process has open. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // The descriptor of the listing itself.
    }
  });
}
