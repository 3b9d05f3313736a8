import { expect } from "bun:test";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { canMount, fillUp, quota, tmpfs } from "./mounts.ts";
import { ARCHIVE, CAN_RESTORE, LARGEST, Place } from "./restore-try.ts";

const noTmpfs = !CAN_RESTORE || !canMount("tmpfs");
const noQuota = !CAN_RESTORE || !needs("mkfs.btrfs") || !canMount("quota");
const noLimit = !CAN_RESTORE || !needs("prlimit");

/** Twice the old state's size, and some: old and new find room. */
const ROOM = 1_000_000;

const HOLDS =
  "restore fails with the cause, and all is as it was, nothing left; the same command works when there is space";

fault(
  "a disk without room for old and new, on a restore",
  "restore refuses before it writes anything, and says how much is needed; the same command works when there is space",
  async () => {
    const place = new Place(join(tmpfs(ROOM), "parent"));
    const filler = fillUp(dirname(place.parent));
    const { status, stderr } = await place.restore();
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^prombackup: refused: too little/),
    ]);
    expect(place.state).toBe("old");
    rmSync(filler);
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip: noTmpfs },
);

interface Meanwhile {
  /** Where what it reads stops, as a byte of the archive. */
  readonly at: number;
  /** How many bytes of the largest file it has written by then. */
  readonly written: number;
}

/** Restores from a pipe, which stops at a byte until something was done. */
async function restoreMeanwhile(place: Place, { at, written }: Meanwhile, meanwhile: () => void) {
  const child = Bun.spawn(commandLine("prombackup", ["restore", ...place.args("-")]), {
    env: cleanEnvironment(),
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  const archive = readFileSync(ARCHIVE);
  child.stdin.write(archive.subarray(0, at));
  child.stdin.flush();
  while (!existsSync(place.staged) || statSync(place.staged).size < written) await Bun.sleep(5);
  meanwhile();
  child.stdin.write(archive.subarray(at));
  child.stdin.end();
  const stderr = await child.stderr.text();
  return { status: await child.exited, stderr };
}

for (const [what, moment, told] of [
  [
    "in the middle of a file",
    { at: LARGEST.offset + LARGEST.size / 2, written: 1 },
    /can't write .*000001: ENOSPC: .*once that is mended/,
  ],
  [
    "between two files",
    { at: LARGEST.offset + LARGEST.size, written: LARGEST.size },
    /no space left for .* are free: .*once that is mended/,
  ],
] as const) {
  fault(
    `a disk that something else fills up while a restore extracts, ${what}`,
    HOLDS,
    async () => {
      const place = new Place(join(tmpfs(ROOM), "parent"));
      let filler = "";
      const { status, stderr } = await restoreMeanwhile(place, moment, () => {
        filler = fillUp(dirname(place.parent));
      });
      expect([status, stderr]).toEqual([1, expect.stringMatching(told)]);
      expect(place.state).toBe("old");
      rmSync(filler);
      expect(await place.restore()).toMatchObject({ status: 0 });
      expect(place.state).toBe("new");
    },
    { skip: noTmpfs },
  );
}

fault(
  "a quota that is used up, on a restore",
  HOLDS,
  async () => {
    const directory = quota(ROOM);
    const place = new Place(join(directory, "parent"));
    const filler = fillUp(directory);
    const { status, stderr } = await place.restore();
    expect([status, stderr]).toEqual([1, expect.stringMatching(/EDQUOT.*once that is mended/)]);
    expect(place.state).toBe("old");
    rmSync(filler);
    // What was removed is counted off by the next transaction.
    Bun.spawnSync(["sync", "--file-system", directory]);
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip: noQuota },
);

fault(
  "a limit on a file's size (ulimit -f) on a restore",
  "restore fails with the cause, and all is as it was, nothing left; the same command works without it",
  async () => {
    const place = new Place();
    const limit = `--fsize=${Math.trunc(LARGEST.size / 2)}`;
    const { status, stderr } = await place.restore(["prlimit", limit]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/can't write .*000001: EFBIG: .*once that is mended/),
    ]);
    expect(place.state).toBe("old");
    expect(await place.restore()).toMatchObject({ status: 0 });
    expect(place.state).toBe("new");
  },
  { skip: noLimit },
);
