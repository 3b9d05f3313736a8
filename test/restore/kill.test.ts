import { describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import {
  empty,
  isBarred,
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
    // It notes the queries that run before it opens its storage.
    const content = { ...listing(dataDir), "queries.active": expect.any(String) };
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
  const { status, stdout, stderr } = await restore(...args);
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  expect(visible(target)).toEqual(wanted);
  const left = readdirSync(join(target, "..")).filter((name) => name !== "data");
  const aside = left.map((name) => visible(join(target, "..", name)));
  for (const name of left) expect(name).toMatch(/^data\.before-restore-\d{8}T\d{6}Z(-2)?$/);
  // Killed behind its last step, the first run was complete, and the second one restores again.
  const complete = aside.filter((content) => Bun.deepEquals(content, wanted));
  expect(aside.filter((content) => !complete.includes(content))).toEqual(withOld ? [old] : []);
  if (!withOld) return;
  expect(Bun.spawnSync(["sh", "-c", undoOf(stdout)]).exitCode).toBe(0);
  expect(visible(target)).toEqual(complete.length === 0 ? old : wanted);
}

/** Whatever the run was that was interrupted, the one that ends it says how to undo it. */
function undoOf(stdout: string): string {
  const [, undo] = /to undo it, with Prometheus stopped:\n {2}(.*)\n/.exec(stdout) ?? [];
  if (undo === undefined) throw new Error(`no line that undoes it: ${stdout}`);
  return undo;
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
      if (i % 4 === 0) await requireFinished(target, args, true);
    }
    expect(seen.old + seen.new).toBe(100);
  },
  600_000,
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
    300_000,
  );

  test("where the file system can't exchange names, the old state, the new one, or for a moment none", async () => {
    const target = join(tempDir(), "data");
    const args = [archive, "--data-dir", target, "--replace"];
    const seen = new Set<string>();
    const kills = await killAtEach(
      { args, fail: "renameat2:error=EINVAL" },
      () => prepare(target, true),
      async () => {
        seen.add(existsSync(target) ? await requireOldOrNew(target, true) : "none");
        expect(isKept(target, old)).toBe(true);
        await requireFinished(target, args, true);
      },
    );
    expect(kills).toBeGreaterThan(8);
    expect([...seen].sort()).toEqual(["new", "none", "old"]);
  }, 300_000);

  // The kernel lets nobody rename a mount point.
  test.skipIf(!needs("unshare") || process.geteuid?.() !== 0).each([true, false])(
    "a restore into a mount point leaves the old state, the new one, or one that Prometheus refuses (with an old one: %p)",
    async (withOld) => {
      const target = join(tempDir(), "data");
      const args = [archive, "--data-dir", target, ...(withOld ? ["--replace"] : [])];
      const mounted = (command: readonly string[]) => {
        const script = 'mount --bind "$0" "$0" && exec "$@"';
        return ["unshare", "--mount", "sh", "-c", script, target, ...command];
      };
      const seen = new Set<string>();
      const kills = await killAtEach(
        { args, wrap: mounted },
        () => prepare(target, withOld),
        async () => {
          if (isBarred(target)) {
            seen.add("barred");
            await tryWithPrometheus(target);
          } else seen.add(await requireOldOrNew(target, withOld));
          const again = Bun.spawnSync(mounted(commandLine("prombackup", ["restore", ...args])), {
            env: cleanEnvironment(),
          });
          expect([again.exitCode, again.stderr.toString()]).toEqual([0, expect.any(String)]);
          expect(visible(target)).toEqual(wanted);
          const hidden = readdirSync(target).filter((name) => name.startsWith("."));
          const aside = hidden.map((name) => visible(join(target, name)));
          const complete = aside.filter((content) => Bun.deepEquals(content, wanted));
          const rest = aside.filter((content) => !complete.includes(content));
          expect(rest).toEqual(withOld ? [old] : []);
          if (!withOld) return;
          const undo = mounted(["sh", "-c", undoOf(again.stdout.toString())]);
          expect(Bun.spawnSync(undo).exitCode).toBe(0);
          expect(visible(target)).toEqual(complete.length === 0 ? old : wanted);
        },
      );
      expect(kills).toBeGreaterThan(12);
      expect([...seen].sort()).toEqual(["barred", "new", "old"]);
    },
    600_000,
  );

  test("added and replaced blocks are there or not, each as a whole", async () => {
    const target = join(tempDir(), "data");
    const [first = "", second = ""] = blockNames(NEW);
    const args = [archive, "--data-dir", target, "--block", first, "--block", second, "--replace"];
    const damaged = join(target, first, "index");
    let initial: Record<string, string> = {};
    const kills = await killAtEach(
      { args },
      () => {
        prepare(target, true);
        cpSync(join(NEW, first), join(target, first), { recursive: true });
        writeFileSync(damaged, "damaged");
        initial = visible(target);
      },
      async () => {
        const found = visible(target);
        for (const [path, content] of Object.entries(old)) expect(found[path]).toBe(content);
        for (const ulid of [first, second]) {
          if (!(ulid in found) || (existsSync(damaged) && isDamaged(damaged))) continue;
          expect(visible(join(target, ulid))).toEqual(visible(join(NEW, ulid)));
        }
        const keeps = Object.entries(listing(target)).some(
          ([path, content]) => path.endsWith(`${first}/index`) && content === DAMAGED,
        );
        expect(keeps).toBe(true);
        const { status, stdout, stderr } = await restore(...args);
        expect([status, stderr]).toEqual([0, expect.any(String)]);
        expect(visible(target)).toEqual({ ...old, ...wanted });
        const asides = readdirSync(target).filter((name) => name.includes("before-restore"));
        expect(Bun.spawnSync(["sh", "-c", undoOf(stdout)]).exitCode).toBe(0);
        // Killed behind its last step, the first run was complete, and the second one restores again.
        expect(visible(target)).toEqual(asides.length > 1 ? { ...old, ...wanted } : initial);
      },
    );
    expect(kills).toBeGreaterThan(12);
  }, 300_000);
});

const DAMAGED = Bun.hash("damaged").toString(16);

function isDamaged(path: string): boolean {
  return readFileSync(path, "utf8") === "damaged";
}
