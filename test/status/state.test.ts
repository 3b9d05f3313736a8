import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chooseStateDir } from "../../src/status/state-dir.ts";
import { tempDir } from "../support/temp.ts";
import { FAILURE, makeDownloads, memoryLog, openState } from "./support.ts";

const FILE = "prombackup.db";

/** A directory with the record of one failed download, and how it is spoiled. */
function spoiled(spoil: (file: string) => void): string {
  const directory = tempDir();
  const state = openState(directory);
  makeDownloads(state).start("a-b").finish(FAILURE);
  state.close();
  spoil(join(directory, FILE));
  return directory;
}

function overwrite(file: string, from: number, bytes: Uint8Array): void {
  const content = readFileSync(file);
  content.set(bytes, from);
  writeFileSync(file, content);
}

function change(file: string, sql: string): void {
  const database = new Database(file);
  database.run(sql);
  database.close();
}

const spoils: [string, (file: string) => void, string][] = [
  [
    "no database",
    (file) => writeFileSync(file, "no database at all ".repeat(1000)),
    "not a database",
  ],
  ["cut short", (file) => writeFileSync(file, readFileSync(file).subarray(0, 5000)), "malformed"],
  [
    "overwritten",
    (file) => overwrite(file, 4096, new Uint8Array(20_000).fill(0x5a)),
    "btreeInitPage",
  ],
  ["of a later release", (file) => change(file, "PRAGMA user_version = 2"), "its version is 2"],
  ["another program's", (file) => change(file, "PRAGMA application_id = 7"), "another program"],
];
test.each(spoils)(
  "a database that is %s is set aside, said so, and a new one begun",
  (_, spoil, why) => {
    const directory = spoiled(spoil);
    const before = readFileSync(join(directory, FILE));
    const log = memoryLog();
    const state = openState(directory, undefined, log);
    expect(log.lines[0]).toStartWith(
      "error the record of downloads can't be read and is set aside",
    );
    expect(log.lines[0]).toContain(why);
    const [aside = ""] = readdirSync(directory).filter((name) => name.includes("set-aside"));
    expect(readFileSync(join(directory, aside))).toEqual(before);
    expect(makeDownloads(state).list()).toEqual([]);
    makeDownloads(state).start("a-b").finish(FAILURE);
    state.close();
    const after = memoryLog();
    expect(makeDownloads(openState(directory, undefined, after)).list()).toHaveLength(1);
    expect(after.lines).toEqual([]);
  },
);

test("a database that can't be made either leaves the record in memory", () => {
  const directory = tempDir();
  symlinkSync("/nowhere/at/all", join(directory, FILE));
  const log = memoryLog();
  const downloads = makeDownloads(openState(directory, undefined, log));
  const { id, finish } = downloads.start("a-b");
  finish(FAILURE);
  expect(downloads.get(id)?.finished).toEqual(FAILURE);
  expect(log.lines).toEqual([expect.stringContaining("kept in memory, and a restart ends it")]);
  expect(log.lines[0]).toContain(`may the server write to ${directory}?`);
});

test("a write that fails is logged, and the end of the download is told all the same", () => {
  const log = memoryLog();
  const directory = tempDir();
  const downloads = makeDownloads(openState(directory, undefined, log));
  change(join(directory, FILE), "DROP TABLE downloads");
  const { id, finish } = downloads.start("a-b");
  finish(FAILURE);
  expect(downloads.get(id)?.finished).toEqual(FAILURE);
  expect(log.lines[0]).toContain("could not be written");
});

test("what ends after the server's own end is on no record, which is no error", () => {
  const log = memoryLog();
  const state = openState(tempDir(), undefined, log);
  state.close();
  state.succeeded("prune");
  expect(log.lines).toEqual([]);
});

describe("the state directory", () => {
  test("is for one server at a time", () => {
    const directory = tempDir();
    const first = openState(directory);
    expect(() => openState(directory)).toThrow(
      "another prombackup-server uses the state directory",
    );
    first.close();
    openState(directory).close();
  });

  test("is made if it isn't there", () => {
    const directory = join(tempDir(), "a", "b");
    openState(directory).close();
    expect(readdirSync(directory)).toContain(FILE);
  });

  test("that is none is told, with what to do", () => {
    const file = join(tempDir(), "file");
    writeFileSync(file, "");
    expect(() => openState(file)).toThrow(/can't be used.*--state-dir/);
  });

  test.each([
    ["/a", "/b", "/a"],
    [undefined, "/b", "/b"],
    [undefined, "/b:/snapshots", "/b"],
    [undefined, "/snapshots/:/b", "/b"],
    [undefined, "/snapshots", undefined],
    [undefined, "", undefined],
    [undefined, undefined, undefined],
  ])("asked %p, of systemd %p: %p", (asked, fromSystemd, expected) => {
    expect(chooseStateDir(asked, fromSystemd, "/snapshots")).toBe(expected);
  });
});

test("the time of the last success and what Prometheus confirmed survive a restart", () => {
  const directory = tempDir();
  const before = openState(directory);
  expect(before.lastSuccess("download")).toBeUndefined();
  const from = Date.now();
  before.succeeded("download");
  before.confirm("a-b");
  before.close();
  const state = openState(directory);
  expect(state.lastSuccess("download")).toBeWithin(from, Date.now() + 1);
  expect(state.lastSuccess("prune")).toBeUndefined();
  expect([state.isConfirmed("a-b"), state.isConfirmed("a-c")]).toEqual([true, false]);
});
