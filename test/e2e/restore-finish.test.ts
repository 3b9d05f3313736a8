import { expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { killAtCall, visible } from "../restore/kill-support.ts";
import { archiveOf, blockNames, listing, restore } from "../restore/support.ts";
import { run } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

needs("prometheus", "promtool", "tar");
const made = (await makeBlocks({ hours: 6, series: 2 })).dataDir;
const archive = archiveOf(made);
const [first = "", second = ""] = blockNames(made);
const MARKER = ".prombackup-restoring";
const places = tempDir();

/** What is tried at a target, prepared anew for each try. */
interface Try {
  readonly prepare: (target: string) => void;
  readonly args: readonly string[];
  /** Whether the run was killed where it should be. */
  readonly isThere: (target: string) => boolean;
}

const known = new Map<Try, Promise<string>>();

/** A target at which a restore was interrupted. */
async function interrupted(way: Try): Promise<string> {
  const made = known.get(way) ?? interrupt(way);
  known.set(way, made);
  const parent = tempDir();
  cpSync(dirname(await made), parent, { recursive: true });
  return join(parent, "data");
}

/** Kills a restore as it renames for the Nth time, until it is where it should be. */
async function interrupt({ prepare, args, isThere }: Try): Promise<string> {
  for (let n = 1; ; n++) {
    const target = join(mkdtempSync(join(places, "try-")), "data");
    mkdirSync(target, { recursive: true });
    prepare(target);
    const start = { args: [archive, "--data-dir", target, ...args] };
    if (!(await killAtCall(start, "rename", n))) throw new Error(`it ended after ${n} renames`);
    if (isThere(target)) return target;
  }
}

const replaceAll: Try = {
  prepare: (target) => {
    mkdirSync(join(target, "wal"));
    writeFileSync(join(target, "wal", "00000000"), "precious");
  },
  args: ["--replace"],
  isThere: (target) => existsSync(join(target, MARKER)),
};
const replaceOne: Try = {
  prepare: (target) => {
    replaceAll.prepare(target);
    cpSync(join(made, first), join(target, first), { recursive: true });
    writeFileSync(join(target, first, "index"), "damaged");
  },
  args: ["--replace", "--block", first, "--block", second],
  isThere: (target) => existsSync(join(target, first, MARKER)),
};
const merge: Try = {
  prepare: replaceAll.prepare,
  args: ["--merge"],
  isThere: (target) => blockNames(target).length === 1,
};

function before({ prepare }: Try): Record<string, string> {
  const target = tempDir();
  prepare(target);
  return listing(target);
}

const ways: [string, Try][] = [
  ["--replace", replaceAll],
  ["--block --replace", replaceOne],
  ["--merge", merge],
];

test.skipIf(!needs("strace")).each(ways)(
  "the run that finishes an interrupted %s prints the line that undoes it",
  async (_, way) => {
    const target = await interrupted(way);
    const { status, stdout } = await restore(archive, "--data-dir", target, ...way.args);
    const undo = /to undo it, with Prometheus stopped:\n {2}(.*)\n/.exec(stdout)?.[1] ?? "";
    expect([status, stdout]).toEqual([0, expect.stringContaining("finished it")]);
    expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
    expect(visible(target)).toEqual(before(way));
  },
);

test.skipIf(!needs("strace"))(
  "so does the one from standard input, and --json tells it",
  async () => {
    const target = await interrupted(replaceAll);
    const { status, stdout } = await run(
      "prombackup",
      ["restore", "-", "--data-dir", target, "--replace", "--json"],
      { stdin: readFileSync(archive) },
    );
    const { finished_interrupted, restored, aside, undo } = JSON.parse(stdout);
    expect([status, finished_interrupted, restored]).toEqual([0, true, blockNames(made)]);
    expect(visible(aside)).toEqual(before(replaceAll));
    expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
    expect(visible(target)).toEqual(before(replaceAll));
  },
);

test.skipIf(!needs("strace"))("of another archive, it says so, and restores this one", async () => {
  const other = join(tempDir(), "other.tar");
  const packing = `tar xf "$0" && mv * 20270101T000000Z-0000000000000000 && tar cf "$1" *`;
  Bun.spawnSync(["sh", "-c", packing, archive, other], { cwd: tempDir() });
  const target = await interrupted(replaceAll);
  const piped = await run("prombackup", ["restore", "-", "--data-dir", target, "--replace"], {
    stdin: readFileSync(other),
  });
  expect([piped.status, piped.stderr]).toEqual([
    1,
    expect.stringMatching(/finished another restore into .*before it is in .*: run it again/),
  ]);
  const again = await interrupted(replaceAll);
  const { status, stderr, stdout } = await restore(other, "--data-dir", again, "--replace");
  expect([status, stderr]).toEqual([
    0,
    expect.stringMatching(/finished another restore into .*: what was there before it is in /),
  ]);
  expect(stdout).toContain("restored 3 blocks");
  expect(readdirSync(join(again, "..")).length).toBe(3);
});

test.skipIf(!needs("strace"))(
  "a restore that is finished is waited for like any other",
  async () => {
    const target = await interrupted(replaceOne);
    const { url } = await startPrometheus({ dataDir: target });
    const args = ["--data-dir", target, ...replaceOne.args, "--prometheus-endpoint", url];
    const { status, stderr } = await restore(archive, ...args, "--wait", "0");
    expect([status, stderr]).toEqual([0, expect.stringContaining("has loaded the 2 blocks")]);
  },
);
