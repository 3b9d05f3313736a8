import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { archiveOf, blockNames, changeMeta, listing, restore } from "../restore/support.ts";
import { run } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

// What an attack on restore found, each as it was found.

needs("prometheus", "promtool", "tar");

const made = (await makeBlocks({ hours: 6, series: 2 })).dataDir;
const archive = archiveOf(made);
const [first = "", second = ""] = blockNames(made);

function damage(block: string): void {
  const segment = join(block, "chunks", "000001");
  const bytes = readFileSync(segment);
  bytes[60] = (bytes[60] ?? 0) ^ 1;
  writeFileSync(segment, bytes);
}

/** Its second block says that it was compacted from the first, and is damaged. */
const chain = archiveOf(made, (snapshot) => {
  changeMeta(join(snapshot, second), (meta) => {
    meta.compaction = { level: 2, sources: [first, second], parents: [{ ulid: first }] };
  });
  damage(join(snapshot, second));
});

test.each(["file", "standard input"])(
  "what a damaged block was compacted from is restored in its place (%s)",
  async (from) => {
    const target = join(tempDir(), "data");
    const args = ["--data-dir", target, "--skip-damaged"];
    const { status, stderr } =
      from === "file"
        ? await restore(chain, ...args)
        : await run("prombackup", ["restore", "-", ...args], { stdin: readFileSync(chain) });
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining(`block ${first} is restored after all`),
    ]);
    expect(blockNames(target)).toEqual(blockNames(made).filter((name) => name !== second));
  },
);

test("a block without a readable meta.json is told as lost", async () => {
  const broken = archiveOf(made, (snapshot) => {
    writeFileSync(join(snapshot, second, "meta.json"), "{");
  });
  const target = join(tempDir(), "data");
  const { status, stdout } = await restore(broken, "--data-dir", target, "--skip-damaged");
  expect([status, stdout]).toEqual([
    0,
    expect.stringContaining(`warning: block ${second} is left out with all that it holds: `),
  ]);
});

test("--check finds a block that Prometheus can't read", async () => {
  const target = join(tempDir(), "data");
  await restore(archive, "--data-dir", target);
  rmSync(join(target, first, "meta.json"));
  const { url } = await startPrometheus({ dataDir: target });
  const { status, stderr } = await restore(
    ...[archive, "--data-dir", target, "--prometheus-endpoint", url, "--check", "--wait", "1s"],
  );
  expect([status, stderr]).toEqual([1, expect.stringContaining(`lacks ${first}`)]);
});

test("--merge refuses where blocks are not as they were", async () => {
  const target = join(tempDir(), "data");
  await restore(archive, "--data-dir", target);
  rmSync(join(target, first, "meta.json"));
  writeFileSync(join(target, second, "chunks", "000001"), "short");
  const { status, stdout } = await restore(archive, "--data-dir", target, "--merge");
  expect(status).toBe(1);
  for (const block of [first, second])
    expect(stdout).toContain(`refused: block ${block} of ${target} is not as it was`);
});

test("a directory with an old lock alone is a new one", async () => {
  const target = join(tempDir(), "data");
  mkdirSync(target);
  writeFileSync(join(target, "lock"), "");
  const { status, stderr } = await restore(archive, "--data-dir", target);
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  expect(blockNames(target)).toEqual(blockNames(made));
});

test("the undo line works each time", async () => {
  const target = join(tempDir(), "data");
  mkdirSync(join(target, "wal"), { recursive: true });
  const before = listing(target);
  for (let round = 0; round < 3; round++) {
    const args = [archive, "--data-dir", target, "--replace", "--json"];
    const { undo } = JSON.parse((await restore(...args)).stdout);
    expect(blockNames(target)).toEqual(blockNames(made));
    expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
    expect(listing(target)).toEqual(before);
  }
});

test("a link to nothing in the place of wal is no obstacle to --replace", async () => {
  const target = join(tempDir(), "data");
  mkdirSync(target);
  symlinkSync("nowhere", join(target, "wal"));
  const { status } = await restore(archive, "--data-dir", target, "--replace");
  expect([status, blockNames(target)]).toEqual([0, blockNames(made)]);
});
