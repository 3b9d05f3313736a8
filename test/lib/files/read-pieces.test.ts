import { expect, test } from "bun:test";
import { readdirSync, readlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPieces } from "../../../src/lib/files/read-pieces.ts";
import { tempDir } from "../../support/temp.ts";

const directory = tempDir();

function makeFile(size: number): { file: string; sha256: string } {
  const file = join(directory, String(size));
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  writeFileSync(file, bytes);
  return { file, sha256: Bun.SHA256.hash(bytes, "hex") };
}

function isOpen(file: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      return false; // The descriptor of the listing itself.
    }
  });
}

test.each([0, 1, 262_143, 262_144, 262_145, 9_000_000])("reads %d bytes", async (size) => {
  const { file, sha256 } = makeFile(size);
  const hasher = new Bun.SHA256();
  for await (const piece of readPieces(file)) hasher.update(piece);
  expect([hasher.digest("hex"), isOpen(file)]).toEqual([sha256, false]);
});

test("timers get their turn meanwhile", async () => {
  const { file } = makeFile(40_000_000);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  // As a check does: nothing is waited for.
  for await (const piece of readPieces(file)) Bun.SHA256.hash(piece);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(2);
});

test("a consumer that stops early closes the file", async () => {
  const { file } = makeFile(1_000_000);
  for await (const _ of readPieces(file)) {
    expect(isOpen(file)).toBe(true);
    break;
  }
  expect(isOpen(file)).toBe(false);
});

test("a file that is cut off meanwhile ends there", async () => {
  const { file } = makeFile(1_000_000);
  let bytes = 0;
  for await (const piece of readPieces(file)) {
    if (bytes === 0) truncateSync(file, 300_000);
    bytes += piece.length;
  }
  expect(bytes).toBe(300_000);
});

test("says by its code why it can't be read", async () => {
  const read = Array.fromAsync(readPieces(join(directory, "none")));
  await expect(read).rejects.toMatchObject({ code: "ENOENT" });
});
