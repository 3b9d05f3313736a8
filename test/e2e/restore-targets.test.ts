import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { archiveOf, blockNames, listing, restore } from "../restore/support.ts";
import { commandLine, run } from "../support/programs.ts";
import { makeBlocks } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

needs("promtool", "tar");
const made = (await makeBlocks({ hours: 4, series: 2 })).dataDir;
const archive = archiveOf(made);

/** A data directory that holds something. */
function occupied(name = "data"): { parent: string; target: string } {
  const parent = tempDir();
  const target = join(parent, name);
  mkdirSync(join(target, "wal"), { recursive: true });
  writeFileSync(join(target, "wal", "00000000"), "precious");
  return { parent, target };
}

test.each([
  "with space",
  "new\nline",
  "ünïcödé",
  "quo'te",
  'double"quote',
  "dollar$HOME",
  "-dash",
  "star*",
  "back\\slash",
  "semi;colon",
  "end ",
  "x".repeat(220),
])("a directory called %j is replaced, and the line that undoes it works", async (name) => {
  const { target } = occupied(name);
  const before = listing(target);
  const { status, stdout } = await restore(archive, "--data-dir", target, "--replace", "--json");
  expect([status, blockNames(target)]).toEqual([0, blockNames(made)]);
  expect(Bun.spawnSync(["sh", "-c", JSON.parse(stdout).undo]).exitCode).toBe(0);
  expect(listing(target)).toEqual(before);
});

test("a name that leaves no room for others beside it is refused", async () => {
  const { parent, target } = occupied("x".repeat(230));
  const { status, stderr } = await restore(archive, "--data-dir", target, "--replace");
  expect([status, stderr]).toEqual([1, expect.stringContaining("give it a shorter one")]);
  expect(readdirSync(parent)).toHaveLength(1);
});

test("a name that isn't UTF-8 is refused, by itself and behind a link", async () => {
  const parent = tempDir();
  const words = commandLine("prombackup", ["restore", archive, "--data-dir"]);
  for (const [script, entries] of [
    [`n=$(printf '\\377data'); mkdir "$n"; exec "$0" "$@" "$n"`, 1],
    [`ln -s $(printf '\\377data') link; exec "$0" "$@" link`, 2],
  ] as const) {
    const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", script, ...words], { cwd: parent });
    const why = expect.stringContaining("has a name that isn't UTF-8, and can't be reached");
    expect([exitCode, stderr.toString()]).toEqual([1, why]);
    expect(readdirSync(parent)).toHaveLength(entries);
  }
});

test.each([
  ["a slash at its end", (_: string) => "data/"],
  ["a relative path", () => "./data/../data"],
  ["an absolute path with a slash", (parent: string) => `${parent}//data/`],
])("%s makes no difference", async (_, given) => {
  const { parent, target } = occupied();
  const args = ["restore", archive, "--data-dir", given(parent), "--replace"];
  const { status } = await run("prombackup", args, { cwd: parent });
  expect([status, blockNames(target)]).toEqual([0, blockNames(made)]);
  expect(readdirSync(parent)).toHaveLength(2);
});

test("the directory that one stands in is replaced as well", async () => {
  const { parent, target } = occupied();
  const args = ["restore", archive, "--data-dir", ".", "--replace"];
  expect((await run("prombackup", args, { cwd: target })).status).toBe(0);
  expect(blockNames(join(parent, "data"))).toEqual(blockNames(made));
});

test("a link to nothing, a file, and a missing parent are told", async () => {
  const parent = tempDir();
  symlinkSync("nowhere", join(parent, "link"));
  writeFileSync(join(parent, "file"), "");
  for (const [name, why] of [
    ["link", "is a symbolic link that leads nowhere"],
    ["file", "is not a directory"],
    ["file/data", "can't be read"],
    ["missing/data", "check --data-dir"],
  ] as const) {
    const { status, stderr } = await restore(archive, "--data-dir", join(parent, name));
    expect([status, stderr]).toEqual([1, expect.stringContaining(why)]);
  }
  expect(readdirSync(parent).sort()).toEqual(["file", "link"]);
});
