import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  InvalidSnapshotName,
  SnapshotInUse,
  SnapshotInvalid,
  SnapshotNotFound,
} from "../../src/snapshots/errors.ts";
import { lockShared } from "../../src/snapshots/lock.ts";
import { removeSnapshot, sweepLeftovers } from "../../src/snapshots/remove.ts";
import { ANOTHER_USER, BECOME_ANOTHER } from "../support/another-user.ts";
import {
  bunCommand,
  flockFromOutside,
  makeSnapshot,
  names,
  snapshotDirectory,
  start,
} from "./support.ts";

const NAME = "20260101T000000Z-aaaa";
const LEFTOVER = `.prombackup-deleting-${NAME}`;

const REMOVE = `
  import { removeSnapshot } from "SOURCES/snapshots/remove.ts";
  try {
    await removeSnapshot(...ARGS);
    console.log("removed");
  } catch (error) {
    console.log(error.name + ": " + error.message);
  }`;

test("removes a snapshot with all that is in it, and nothing else", async () => {
  const directory = snapshotDirectory();
  makeSnapshot(directory, NAME, 3);
  makeSnapshot(directory, "other-1");
  await removeSnapshot(directory, NAME);
  expect(names(directory)).toEqual(["other-1"]);
});

test("the live block behind a hard link keeps its bytes, mode and time", async () => {
  const directory = snapshotDirectory();
  const live = join(directory, "..", "live-chunk");
  writeFileSync(live, "samples");
  chmodSync(live, 0o440);
  const before = statSync(live);
  linkSync(live, join(makeSnapshot(directory, NAME), "hard-link"));
  await removeSnapshot(directory, NAME);
  const after = statSync(live);
  expect(readFileSync(live, "utf8")).toBe("samples");
  expect([after.mode, after.mtimeMs, after.nlink]).toEqual([before.mode, before.mtimeMs, 1]);
});

describe("what isn't there to remove", () => {
  const directory = snapshotDirectory();
  const outside = join(directory, "..", "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "canary"), "");
  symlinkSync(outside, join(directory, "link-1"));
  writeFileSync(join(directory, "file-1"), "");

  test("a name that nothing has", async () => {
    await expect(removeSnapshot(directory, "aaa-bbb")).rejects.toThrow(SnapshotNotFound);
    await expect(removeSnapshot(join(directory, "none"), "a-b")).rejects.toThrow(SnapshotNotFound);
  });
  test.each(["link-1", "file-1"])("%s, which is no directory", async (name) => {
    await expect(removeSnapshot(directory, name)).rejects.toThrow(SnapshotInvalid);
    expect(names(directory)).toEqual(["file-1", "link-1"]);
    expect(names(outside)).toEqual(["canary"]);
  });
  test.each(["../outside", "..", ".", "", "/etc", "a-b/../../outside"])("%p", async (name) => {
    await expect(removeSnapshot(directory, name)).rejects.toThrow(InvalidSnapshotName);
    expect(names(outside)).toEqual(["canary"]);
  });
});

describe("a snapshot in use stays whole", () => {
  test("during a download of this process", async () => {
    const directory = snapshotDirectory();
    makeSnapshot(directory, NAME);
    const lock = await lockShared(directory, NAME);
    await expect(removeSnapshot(directory, NAME)).rejects.toThrow(SnapshotInUse);
    expect(names(directory)).toEqual([NAME]);
    lock.release();
    await removeSnapshot(directory, NAME);
    expect(names(directory)).toEqual([]);
  });
  test("during one of another process, until that ends", async () => {
    const directory = snapshotDirectory();
    const other = await flockFromOutside(makeSnapshot(directory, NAME), "shared");
    await expect(removeSnapshot(directory, NAME)).rejects.toThrow(`snapshot in use: ${NAME}`);
    expect(names(join(directory, NAME))).toHaveLength(1);
    await other.kill();
    await removeSnapshot(directory, NAME);
    expect(names(directory)).toEqual([]);
  });
});

test("two processes remove one at once: one does it, the other finds nothing or sees it in use", async () => {
  const directory = snapshotDirectory();
  for (let round = 0; round < 5; round++) {
    makeSnapshot(directory, NAME, 20);
    const both = [0, 1].map(() => start(bunCommand(REMOVE, directory, NAME)));
    const said = await Promise.all(both.map((process) => process.line()));
    expect(said).toContain("removed");
    const other = said.find((line) => line !== "removed") ?? "";
    expect(other).toMatch(/^Snapshot(NotFound|InUse): /);
    expect(names(directory)).toEqual([]);
  }
});

describe("symbolic links in a snapshot", () => {
  test("go, and what they name stays", async () => {
    const directory = snapshotDirectory();
    const outside = join(directory, "..", "outside");
    mkdirSync(join(outside, "folder"), { recursive: true });
    writeFileSync(join(outside, "folder", "canary"), "");
    const snapshot = makeSnapshot(directory, NAME);
    symlinkSync(outside, join(snapshot, "folder-link"));
    symlinkSync(join(outside, "folder", "canary"), join(snapshot, "file-link"));
    symlinkSync("/", join(snapshot, "root-link"));
    symlinkSync("..", join(snapshot, "up-link"));
    await removeSnapshot(directory, NAME);
    expect(names(directory)).toEqual([]);
    expect(names(join(outside, "folder"))).toEqual(["canary"]);
  });

  test("that take the place of directories during the removal lead nowhere", async () => {
    const directory = snapshotDirectory();
    const outside = join(directory, "..", "outside");
    mkdirSync(join(outside, "chunks"), { recursive: true });
    for (const path of ["canary", "chunks/000001"]) writeFileSync(join(outside, path), "");
    // Swaps each block that it finds for a link, as fast as it can.
    const swap = `
      import { readdirSync, renameSync, symlinkSync } from "node:fs";
      const [directory, outside] = ARGS;
      let count = 0;
      console.log("ready");
      for (const end = performance.now() + 60_000; performance.now() < end; ) {
        for (const snapshot of readdirSync(directory)) try {
          for (const block of readdirSync(directory + "/" + snapshot)) try {
            const path = directory + "/" + snapshot + "/" + block;
            renameSync(path, directory + "/../swapped-" + count++);
            symlinkSync(outside, path);
          } catch {}
        } catch {}
      }`;
    const attacker = start(bunCommand(swap, directory, outside));
    expect(await attacker.line()).toBe("ready");
    for (let round = 0; round < 20; round++) {
      const staged = join(directory, "..", "staged");
      makeSnapshot(join(directory, ".."), "staged", 10);
      renameSync(staged, join(directory, NAME));
      await removeSnapshot(directory, NAME).catch(() => undefined);
      await sweepLeftovers(directory).catch(() => undefined);
    }
    await attacker.kill();
    expect(names(outside)).toEqual(["canary", "chunks"]);
    expect(names(join(outside, "chunks"))).toEqual(["000001"]);
  });
});

test("odd names go as well: not UTF-8, very long, starting with a dash", async () => {
  const directory = snapshotDirectory();
  const snapshot = makeSnapshot(directory, NAME);
  writeFileSync(Buffer.concat([Buffer.from(`${snapshot}/`), Buffer.from([0xff, 0xfe])]), "");
  mkdirSync(Buffer.concat([Buffer.from(`${snapshot}/d`), Buffer.from([0xff])]));
  writeFileSync(join(snapshot, "x".repeat(255)), "");
  writeFileSync(join(snapshot, "-rf"), "");
  Bun.spawnSync(["mkfifo", join(snapshot, "pipe")]);
  await removeSnapshot(directory, NAME);
  expect(names(directory)).toEqual([]);
});

test("the longest name can be removed", async () => {
  const directory = snapshotDirectory();
  const name = `a-${"b".repeat(253)}`;
  makeSnapshot(directory, name);
  await removeSnapshot(directory, name);
  expect(names(directory)).toEqual([]);
});

describe("the leftover of an interrupted removal", () => {
  test("is swept, and nothing else is", async () => {
    const directory = snapshotDirectory();
    const outside = join(directory, "..", "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "canary"), "");
    makeSnapshot(directory, LEFTOVER, 2);
    symlinkSync(outside, join(directory, ".prombackup-deleting-link-1"));
    writeFileSync(join(directory, ".prombackup-deleting-file-1"), "");
    makeSnapshot(directory, NAME);
    expect(await sweepLeftovers(directory)).toEqual([LEFTOVER]);
    expect(names(directory)).toEqual([
      ".prombackup-deleting-file-1",
      ".prombackup-deleting-link-1",
      NAME,
    ]);
    expect(names(outside)).toEqual(["canary"]);
  });
  test("doesn't stand in the way of another removal of that name", async () => {
    const directory = snapshotDirectory();
    makeSnapshot(directory, LEFTOVER);
    makeSnapshot(directory, NAME);
    await removeSnapshot(directory, NAME);
    expect(names(directory)).toEqual([LEFTOVER]);
  });
  test("nor does a file of its name", async () => {
    const directory = snapshotDirectory();
    writeFileSync(join(directory, LEFTOVER), "");
    makeSnapshot(directory, NAME);
    await removeSnapshot(directory, NAME);
    expect(names(directory)).toEqual([LEFTOVER]);
  });
  test("is left to the living process that is at it", async () => {
    const directory = snapshotDirectory();
    const other = await flockFromOutside(makeSnapshot(directory, LEFTOVER), "exclusive");
    expect(await sweepLeftovers(directory)).toEqual([]);
    expect(names(join(directory, LEFTOVER))).toHaveLength(1);
    await other.kill();
    expect(await sweepLeftovers(directory)).toEqual([LEFTOVER]);
  });
  test("isn't looked for in a snapshot directory that doesn't exist", async () => {
    expect(await sweepLeftovers(join(snapshotDirectory(), "none"))).toEqual([]);
  });
});

test("killed in the middle of a removal: never half a snapshot under its name, and the rest is swept", async () => {
  const directory = snapshotDirectory();
  let interrupted = 0;
  for (let round = 0; interrupted < 3 && round < 50; round++) {
    const path = makeSnapshot(directory, NAME);
    for (let file = 0; file < 3000; file++) writeFileSync(join(path, String(file)), "");
    const whole = names(path).length;
    const remover = start(bunCommand(REMOVE, directory, NAME));
    let ended = false;
    remover.exited.finally(() => {
      ended = true;
    });
    while (existsSync(path) && !ended) await Bun.sleep(0);
    await remover.kill();
    expect(existsSync(path)).toBe(false);
    if (!existsSync(join(directory, LEFTOVER))) continue;
    expect(names(join(directory, LEFTOVER)).length).toBeLessThanOrEqual(whole);
    interrupted++;
    expect(await sweepLeftovers(directory)).toEqual([LEFTOVER]);
    expect(names(directory)).toEqual([]);
  }
  expect(interrupted).toBe(3);
});

test("the event loop turns while 10,000 files are deleted", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME);
  for (let file = 0; file < 10_000; file++) writeFileSync(join(path, String(file)), "");
  let turns = 0;
  const interval = setInterval(() => turns++, 1);
  await removeSnapshot(directory, NAME);
  clearInterval(interval);
  expect(turns).toBeGreaterThan(20);
});

test("without the right to remove, nothing is touched, and the message tells whom to run as", async () => {
  const directory = snapshotDirectory();
  const path = makeSnapshot(directory, NAME);
  if (process.getuid?.() !== 0) {
    chmodSync(directory, 0o555);
    const refusal = await removeSnapshot(directory, NAME).catch((error: Error) => error.message);
    chmodSync(directory, 0o755);
    expect(refusal).toContain(`permission denied: ${directory} has mode 0555`);
    expect(names(directory)).toEqual([NAME]);
    return;
  }
  for (const open of [join(directory, "../.."), directory, path]) chmodSync(open, 0o755);
  const refused = () => start(bunCommand(BECOME_ANOTHER + REMOVE, directory, NAME)).line();
  const ownerOf = (place: string) =>
    `Failure: can't remove ${NAME}: permission denied: prombackup must run as the user that owns ` +
    `${place} (uid 0), it runs as uid ${ANOTHER_USER}`;
  expect(await refused()).toBe(ownerOf(path));
  chmodSync(path, 0o777);
  expect(await refused()).toBe(ownerOf(directory));
  expect(names(directory)).toEqual([NAME]);
  expect(names(join(path, names(path)[0] ?? ""))).toHaveLength(4);
});
