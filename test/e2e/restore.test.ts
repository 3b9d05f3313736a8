import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { blockNames, listing, restore } from "../restore/support.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

const { dataDir, start, end } = await makeBlocks({ hours: 6, series: 50 });
const original = await startPrometheus({ dataDir });
const cwd = tempDir();
const backup = join(cwd, "backup.tar.zst");
const local = ["--snapshot-dir", original.snapshotDir, "--prometheus-endpoint", original.url];
await run("prombackup", ["create", ...local, "--format", "tzst", "--output", backup]);
const archive = new Uint8Array(await Bun.file(backup).arrayBuffer());

const QUERIES = [
  "demo_requests_total",
  "demo_temperature_celsius",
  "sum by (room) (rate(demo_requests_total[5m]))",
  "count(demo_temperature_celsius)",
];

function answers(url: string) {
  return Promise.all(QUERIES.map((query) => queryRange(url, query, start, end, 30)));
}

const expected = await answers(original.url);

async function requireSameAnswers(restored: string): Promise<void> {
  const prometheus = await startPrometheus({ dataDir: restored });
  expect(await answers(prometheus.url)).toEqual(expected);
  await prometheus.stop();
}

// Prometheus looks for new blocks once a minute: begun ahead, so that the other tests use that time.
const hot = join(tempDir(), "data");
await restore(backup, "--data-dir", hot);
const [first = "", second = ""] = blockNames(hot);
for (const name of [first, second]) rmSync(join(hot, name), { recursive: true });
const running = await startPrometheus({ dataDir: hot });
const lacking = await answers(running.url);
const intoRunning = restore(
  ...[backup, "--data-dir", hot, "--block", first, "--block", second],
  ...["--prometheus-endpoint", running.url],
);

test("what is restored into an empty directory answers each query as the original does", async () => {
  expect(expected[0]).toHaveLength(50);
  const target = join(tempDir(), "data");
  mkdirSync(target);
  const { status, stdout } = await restore(backup, "--data-dir", target);
  expect([status, stdout]).toEqual([0, expect.stringContaining("restored 4 blocks")]);
  await requireSameAnswers(target);
});

test("standard input is restored as a file is", async () => {
  const target = join(tempDir(), "data");
  const piped = await run("prombackup", ["restore", "-", "--data-dir", target], { stdin: archive });
  expect([piped.status, piped.stdout]).toEqual([0, expect.stringContaining("restored 4 blocks")]);
  const fromFile = join(tempDir(), "data");
  await restore(backup, "--data-dir", fromFile);
  expect(listing(target)).toEqual(listing(fromFile));
});

test("a pipe with a name, as a shell's <(...) is, is restored as standard input is", async () => {
  const [target, pipe] = [join(tempDir(), "data"), join(tempDir(), "pipe")];
  const command = commandLine("prombackup", ["restore", pipe, "--data-dir", target]);
  const sh = ["sh", "-c", `mkfifo "$1"; cat "$2" >"$1" & shift 2; exec "$@"`, "sh", pipe, backup];
  const child = Bun.spawn([...sh, ...command], {
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([await child.exited, stderr]).toEqual([0, expect.not.stringContaining("damaged")]);
  expect(stdout).toContain("restored 4 blocks");
});

test("--replace keeps what was there, and the line it prints undoes it", async () => {
  const target = join(tempDir(), "data");
  mkdirSync(join(target, "wal"), { recursive: true });
  writeFileSync(join(target, "wal", "00000000"), "precious");
  const before = listing(target);
  const refused = await restore(backup, "--data-dir", target);
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("is not empty")]);
  expect(listing(target)).toEqual(before);

  const replaced = await restore(backup, "--data-dir", target, "--replace");
  expect(replaced.status).toBe(0);
  expect(blockNames(target)).toHaveLength(4);
  expect(readdirSync(target)).toHaveLength(4);
  const undo = /to undo it, with Prometheus stopped:\n {2}(.*)\n/.exec(replaced.stdout)?.[1] ?? "";
  expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
  expect(listing(target)).toEqual(before);
  await requireSameAnswers(`${target}.undone`);
});

test("one bad block that keeps Prometheus from starting is replaced alone", async () => {
  const target = join(tempDir(), "data");
  await restore(backup, "--data-dir", target);
  const [bad = ""] = blockNames(target);
  const index = join(target, bad, "index");
  writeFileSync(index, readFileSync(index).subarray(0, 100));
  await expect(startPrometheus({ dataDir: target })).rejects.toThrow("ended at once");
  const refused = await restore(backup, "--data-dir", target, "--block", bad);
  expect([refused.status, refused.stderr]).toEqual([
    1,
    expect.stringContaining(`has a block ${bad} already: --replace moves it aside and keeps it`),
  ]);
  const replaced = await restore(backup, "--data-dir", target, "--block", bad, "--replace");
  expect([replaced.status, replaced.stdout]).toEqual([
    0,
    expect.stringContaining("restored 1 block"),
  ]);
  await requireSameAnswers(target);
  const undo = /to undo it, with Prometheus stopped:\n {2}(.*)\n/.exec(replaced.stdout)?.[1] ?? "";
  expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
  expect(readFileSync(index)).toHaveLength(100);
});

test("after a restore it waits for Prometheus to be started, and compares the blocks", async () => {
  const target = join(tempDir(), "data");
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const restoring = restore(backup, "--data-dir", target, "--prometheus-endpoint", url);
  while (!existsSync(target)) await Bun.sleep(5);
  const prometheus = await startPrometheus({ dataDir: target, port });
  const { status, stderr } = await restoring;
  expect([status, stderr]).toEqual([
    0,
    expect.stringContaining("start Prometheus now: waiting up to 2m00s"),
  ]);
  expect(stderr).toContain("has loaded the 4 blocks of the archive among 4");

  const check = ["--data-dir", target, "--prometheus-endpoint", url, "--check", "--wait", "1s"];
  expect((await restore(backup, ...check)).status).toBe(0);
  const asJson = await restore(backup, ...check, "--json");
  expect(JSON.parse(asJson.stdout)).toMatchObject({ prometheus: { state: "loaded", blocks: 4 } });
  const [lost = ""] = blockNames(target);
  renameSync(join(target, lost), join(target, "lost"));
  const missing = await restore(backup, ...check);
  expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining(`lacks ${lost}`)]);
  await prometheus.stop();
  const gone = await restore(backup, ...check, "--wait", "0");
  expect([gone.status, gone.stderr]).toEqual([1, expect.stringContaining("nothing listens there")]);
});

test("with --json people are told while it waits, and scripts once, at its end", async () => {
  const target = join(tempDir(), "data");
  const url = `http://127.0.0.1:${freePort()}`;
  const args = ["restore", backup, "--data-dir", target, "--prometheus-endpoint", url, "--json"];
  const child = Bun.spawn(commandLine("prombackup", args), {
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  let told = "";
  for await (const piece of child.stderr) {
    told += Buffer.from(piece).toString();
    if (told.includes("waiting up to")) break;
  }
  expect(told).toMatch(/^restore of .*\n(.*\n)*restored 4 blocks into .*\n/);
  child.kill("SIGINT");
  const { plan, restored, error } = JSON.parse(await child.stdout.text());
  expect([await child.exited, error]).toEqual([130, "interrupted by SIGINT"]);
  expect([plan.blocks.length, restored]).toEqual([4, blockNames(target)]);
});

test("a Prometheus that isn't started in time is no failure; how to look later is told", async () => {
  const target = join(tempDir(), "data");
  const url = `http://127.0.0.1:${freePort()}`;
  const flags = ["--data-dir", target, "--prometheus-endpoint", url, "--wait", "0"];
  const { status, stderr } = await restore(backup, ...flags);
  expect([status, stderr]).toEqual([
    0,
    expect.stringContaining(
      `later: prombackup restore ${backup} --data-dir ${target} --prometheus-endpoint ${url}/ --check`,
    ),
  ]);
});

test("a block is restored into the directory of a running Prometheus, which takes it up", async () => {
  const { status, stderr } = await intoRunning;
  expect(lacking).not.toEqual(expected);
  expect([status, stderr]).toEqual([0, expect.stringContaining("has loaded the 2 blocks")]);
  expect(await answers(running.url)).toEqual(expected);
}, 120_000);

test("blocks that overlap with those that are there are merged by Prometheus, no sample counted twice", async () => {
  const { dataDir: same } = await makeBlocks({ hours: 6, series: 50, from: start });
  const before = blockNames(same).length;
  const { status, stdout } = await restore(backup, "--data-dir", same, "--merge");
  expect([status, stdout]).toEqual([
    0,
    expect.stringContaining("Prometheus since 2.39 answers from both"),
  ]);
  expect(blockNames(same)).toHaveLength(before + 4);
  await requireSameAnswers(same);
});
