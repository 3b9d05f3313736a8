import { expect } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { killAtCall } from "../restore/kill-support.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { BLOCK, CAN_RESTORE, Place, tamper, type Way } from "./restore-try.ts";

const skip = !CAN_RESTORE || !needs("strace");

const MARKER = ".prombackup-restoring";

/**
 * The files of a restore: by their paths, for calls about descriptors; and by those that lead there
 * over a descriptor. Bun opens and writes others on its own, whose failure says nothing.
 */
function filesOf({ parent, target, staging }: Place): string[] {
  const block = ["", "/chunks", "/chunks/000001", "/index", "/meta.json", "/tombstones"];
  const staged = ["preparing", "data"].flatMap((name) => [name, `${name}/${MARKER}.new`]);
  staged.push(...block.map((file) => `data/${BLOCK}${file}`));
  const files = [parent, target, staging, ...staged.map((name) => join(staging, name))];
  for (let fd = 3; fd < 24; fd++) {
    const held = `/proc/self/fd/${fd}`;
    files.push(held, `${held}/lock`, ...staged.map((name) => `${held}/${name}`));
  }
  return files;
}

const OPENING = new Set(["openat", "write"]);

/** @returns undefined if there are fewer such calls */
async function tampered(call: string, when: string, way?: Way) {
  const place = new Place(undefined, way);
  const files = OPENING.has(call) ? filesOf(place) : [];
  const tampering = { call, how: "error=EIO", when, files };
  const { status, stderr, done } = await tamper(place, tampering);
  if (!done) return undefined;
  // It has to be told to somebody who knows the directory, and no descriptor.
  expect(stderr).not.toContain("/proc/self/fd");
  if (status !== 0) {
    expect(stderr).toMatch(/^prombackup: [^\n]*(EIO|i\/o error)[^\n]*once that is mended[^\n]*\n$/);
    expect([status, stderr]).toEqual([1, expect.stringContaining(place.parent)]);
  }
  return { place, status, stderr };
}

const EACH = ["mkdir", "write", "fsync", "flock", "rename", "renameat2", "unlink", "rmdir"];
/** Of which there are many alike. */
const SOME = ["openat", "fchown", "fchmod"];

async function failEach(call: string, step: number, way?: Way): Promise<void> {
  let n = 1;
  for (; ; n += step) {
    const result = await tampered(call, String(n), way);
    if (result === undefined) break;
    const { place, status, stderr } = result;
    // What is as it was needs no proof that the same command works: it is as it was then, too.
    expect([n, place.state, stderr]).toEqual([n, status === 0 ? "new" : "old", stderr]);
    // But for the end of a lock, which the end of the process is as well.
    if (status === 0 && call !== "flock") expect(stderr).toContain("but all is in place");
  }
  expect(n).toBeGreaterThan(1);
}

const HOLDS =
  "restore fails with the cause, and all is as it was, nothing left; or it says so, and all is in place";

for (const call of EACH) {
  fault(
    `the first, the second, and each further ${call}(2) of restore on its files fails (EIO)`,
    HOLDS,
    () => failEach(call, 1),
    { skip, timeout: 120_000 },
  );
}

for (const call of SOME) {
  fault(
    `the first, and each third further ${call}(2) of restore on its files fails (EIO)`,
    HOLDS,
    () => failEach(call, 3),
    { skip, timeout: 120_000 },
  );
}

for (const [what, way, cannot] of [
  ["a restore into a mount point", "within", !needs("unshare") || process.geteuid?.() !== 0],
  ["restore --block --replace", "block", false],
] as const) {
  fault(
    `the first, the second, and each further rename(2), renameat2(2) and unlink(2) of ${what} fails (EIO)`,
    HOLDS,
    async () => {
      for (const call of ["rename", "renameat2", "unlink"]) await failEach(call, 1, way);
    },
    { skip: skip || cannot, timeout: 120_000 },
  );
}

for (const [call, step, which] of [
  ["fsync", 3, "and each third further"],
  ["rename", 1, "the second, and each further"],
  ["unlink", 1, "the second, and each further"],
  ["rmdir", 1, "the second, and each further"],
] as const) {
  fault(
    `all ${call}(2) of restore fail (EIO), from the first, ${which} one on`,
    "restore says whether all is as it was, interrupted or in place; the same command, without the fault, ends with all in place",
    async () => {
      let interrupted = 0;
      for (let n = 1; ; n += step) {
        const result = await tampered(call, `${n}+`);
        if (result === undefined) break;
        const { place, status, stderr } = result;
        if (place.state === "old") continue;
        if (status === 0) {
          expect(stderr).toContain("but all is in place");
          rmSync(place.staging, { recursive: true, force: true });
          expect([n, place.state]).toEqual([n, "new"]);
          continue;
        }
        interrupted++;
        expect(stderr).toMatch(/nothing was changed|the same command again/);
        expect(await place.restore()).toMatchObject({ status: 0 });
        expect([n, place.state, stderr]).toEqual([n, "new", stderr]);
      }
      // An empty directory, which can't be removed, is nothing to go on with.
      expect(interrupted > 0).toBe(call !== "rmdir");
    },
    { skip, timeout: 120_000 },
  );
}

fault(
  "a restore is killed (-9) behind the exchange, where the mark of an earlier one was left in the directory",
  "the same command ends with all in place, and what was there is kept",
  async () => {
    const place = new Place();
    // As when somebody removes what an interrupted restore has left beside it.
    writeFileSync(join(place.target, MARKER), "{}");
    expect(await killAtCall({ args: place.args() }, "rename", 4)).toBe(true);
    expect(place.state).toBe("between");
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip },
);

fault(
  "restore --block --replace, where the mark of an earlier restore was left in the block",
  "the block is replaced, and what was there is kept",
  async () => {
    const place = new Place(undefined, "block");
    const mark = join(place.target, BLOCK, MARKER);
    writeFileSync(mark, "{}");
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip },
);

fault(
  "a restore into a mount point is killed (-9) while it moves blocks in, and the file that keeps Prometheus from starting is removed by hand",
  "the same command moves the rest in",
  async () => {
    const place = new Place(undefined, "within");
    const killed = await tamper(place, { call: "rename", how: "signal=SIGKILL", when: "7" });
    expect(killed.status).not.toBe(0);
    rmSync(join(place.target, "wal"));
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip: skip || !needs("unshare") || process.geteuid?.() !== 0 },
);
