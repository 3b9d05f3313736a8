import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import {
  empty,
  isKept,
  killAfter,
  killAtCall,
  RENAMING,
  type Start,
  visible,
} from "./kill-support.ts";
import { archiveOf, blockNames, listing, restore } from "./support.ts";

const skip = !needs("promtool", "prometheus", "strace", "tar");
const NEW = skip ? "" : (await makeBlocks({ hours: 4, series: 1 })).dataDir;
const archive = skip ? "" : archiveOf(NEW);
const before = tempDir();
if (!skip) {
  await makeBlocks({ dataDir: before, hours: 2, series: 2, from: new Date("2026-01-01") });
  const running = await startPrometheus({ dataDir: before });
  await running.stop();
}
const old = visible(before);
const wanted = visible(NEW);

/** One state is tried with a real Prometheus once: by what it shows, not by when it was seen. */
const tried = new Map<string, Promise<void>>();

function tryWithPrometheus(target: string): Promise<void> {
  const state = JSON.stringify(visible(target));
  const known = tried.get(state) ?? startOnCopy(target);
  tried.set(state, known);
  return known;
}

async function startOnCopy(target: string): Promise<void> {
  const dataDir = join(tempDir(), "copy");
  if (existsSync(target)) cpSync(target, dataDir, { recursive: true });
  else mkdirSync(dataDir);
  const blocks = blockNames(dataDir);
  if (isBarred(target)) {
    const content = listing(dataDir);
    await expect(startPrometheus({ dataDir })).rejects.toThrow(/wal.*not a directory/);
    expect(listing(dataDir)).toEqual(content);
    return;
  }
  const prometheus = await startPrometheus({ dataDir });
  const metrics = await (await fetch(`${prometheus.url}/metrics`)).text();
  expect(metrics).toContain(`\nprometheus_tsdb_blocks_loaded ${blocks.length}\n`);
  expect(blockNames(dataDir)).toEqual(blocks);
  await prometheus.stop();
}

function isBarred(target: string): boolean {
  return lstatSync(join(target, "wal"), { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Begins with the old state, or with nothing. */
function prepare(target: string, withOld: boolean): void {
  for (const name of readdirSync(join(target, ".."))) {
    const path = join(target, "..", name);
    if (path !== target) rmSync(path, { recursive: true, force: true });
  }
  empty(target);
  if (withOld) cpSync(before, target, { recursive: true, preserveTimestamps: true });
}

/** The old state or the new one, and nothing of the old one lost. */
async function requireOldOrNew(target: string, withOld: boolean): Promise<"old" | "new"> {
  const found = visible(target);
  const isNew = Bun.deepEquals(found, wanted);
  if (!isNew) expect(found).toEqual(withOld ? old : {});
  if (withOld) expect(isKept(target, old)).toBe(true);
  await tryWithPrometheus(target);
  return isNew ? "new" : "old";
}

/** The same command again ends in the new state, with the old one aside and nothing half-done. */
async function requireFinished(target: string, args: readonly string[], withOld: boolean) {
  const { status, stderr } = await restore(...args);
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  expect(visible(target)).toEqual(wanted);
  const left = readdirSync(join(target, "..")).filter((name) => name !== "data");
  const aside = left.map((name) => visible(join(target, "..", name)));
  for (const name of left) expect(name).toMatch(/^data\.before-restore-\d{8}T\d{6}Z(-2)?$/);
  // Killed behind its last step, the first run was complete, and the second one restores again.
  const complete = aside.filter((content) => Bun.deepEquals(content, wanted));
  expect(aside.filter((content) => !complete.includes(content))).toEqual(withOld ? [old] : []);
}

test.skipIf(skip)(
  "killed at a hundred random moments, a restore leaves the old state or the new one",
  async () => {
    const target = join(tempDir(), "data");
    const args = [archive, "--data-dir", target, "--replace"];
    const startedAt = performance.now();
    prepare(target, true);
    await restore(...args);
    const whole = performance.now() - startedAt;
    const seen = { old: 0, new: 0 };
    for (let i = 0; i < 100; i++) {
      prepare(target, true);
      await killAfter(args, Math.random() * whole);
      seen[await requireOldOrNew(target, true)]++;
      await requireFinished(target, args, true);
    }
    expect(seen.old + seen.new).toBe(100);
  },
  240_000,
);

describe.skipIf(skip)("killed at each of its steps", () => {
  async function killAtEach(
    start: Start,
    prepared: () => void,
    check: () => Promise<void>,
  ): Promise<number> {
    let kills = 0;
    for (const call of RENAMING) {
      for (let n = 1; ; n++) {
        prepared();
        if (!(await killAtCall(start, call, n))) break;
        kills++;
        await check();
      }
    }
    return kills;
  }

  test.each([true, false])(
    "a restore leaves the old state or the new one (with an old one: %p)",
    async (withOld) => {
      const target = join(tempDir(), "data");
      const args = [archive, "--data-dir", target, ...(withOld ? ["--replace"] : [])];
      const kills = await killAtEach(
        { args },
        () => prepare(target, withOld),
        async () => {
          await requireOldOrNew(target, withOld);
          await requireFinished(target, args, withOld);
        },
      );
      expect(kills).toBeGreaterThan(8);
    },
    120_000,
  );
});
