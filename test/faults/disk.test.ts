import { expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NAME, snapshotDir, start } from "../e2e/support.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { brokenDisk, canMount, failingDisk, fillUp, quota, tmpfs } from "./mounts.ts";
import { fixedSnapshot } from "./proxy.ts";

const noTmpfs = !canMount("tmpfs");
const noZram = !needs("mkfs.ext4") || !canMount("zram");
const noQuota = !needs("mkfs.btrfs") || !canMount("quota");
const noLoop = !needs("mkfs.ext4") || noTmpfs || !canMount("loop");
const noLimit = !needs("prlimit");

const MB = 1_000_000;
const server = await start(snapshotDir(20 * MB, "random"), "--stall-timeout", "1m");
const url = fixedSnapshot(server.url);

/** A create into a directory with yesterday's backup. */
async function create(cwd: string, ...prefix: string[]) {
  writeFileSync(join(cwd, "x"), "yesterday");
  const args = ["create", "--server", url, "--output", "x", "--checksum-file"];
  const child = Bun.spawn([...prefix, ...commandLine("prombackup", args)], {
    cwd,
    env: cleanEnvironment(),
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = await child.stderr.text();
  return { status: await child.exited, stderr };
}

function requireUntouched(cwd: string): void {
  expect(readdirSync(cwd).filter((name) => name !== "lost+found")).toEqual(["x"]);
  expect(readFileSync(join(cwd, "x"), "utf8")).toBe("yesterday");
}

const HOLDS = "create fails with the cause; yesterday's file as it was, nothing else left";

fault(
  "disk full on the client's side",
  HOLDS,
  async () => {
    const cwd = tmpfs(8 * MB);
    const { status, stderr } = await create(cwd);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/can't write .*x: ENOSPC/)]);
    requireUntouched(cwd);
  },
  { skip: noTmpfs },
);

fault(
  "quota exceeded on the client's side",
  HOLDS,
  async () => {
    const cwd = quota(5 * MB);
    // Root may exceed many quotas, though not this one.
    const { status, stderr } = await create(cwd);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/can't write .*x: EDQUOT/)]);
    requireUntouched(cwd);
  },
  { skip: noQuota },
);

fault(
  "a limit on a file's size (ulimit -f) on the client's side",
  HOLDS,
  async () => {
    const cwd = tempDir();
    const { status, stderr } = await create(cwd, "prlimit", `--fsize=${5 * MB}`);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/can't write .*x: EFBIG/)]);
    requireUntouched(cwd);
  },
  { skip: noLimit },
);

fault(
  "read-only file system on the client's side",
  "create fails with the cause before a snapshot is asked for",
  async () => {
    const cwd = tmpfs(MB);
    writeFileSync(join(cwd, "x"), "yesterday");
    Bun.spawnSync(["mount", "-o", "remount,ro", cwd]);
    const args = ["create", "--server", "http://127.0.0.1:1", "--output", "x"];
    const { status, stderr } = await run("prombackup", args, { cwd });
    expect([status, stderr]).toEqual([1, expect.stringContaining("read-only file system")]);
    requireUntouched(cwd);
  },
  { skip: noTmpfs },
);

fault(
  "disk on the client's side that fails when it is written to (EIO)",
  HOLDS,
  async () => {
    const cwd = brokenDisk();
    const { status, stderr } = await create(cwd);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/can't write .*x: EIO: .* write/)]);
    requireUntouched(cwd);
  },
  { skip: noZram },
);

fault(
  "disk on the client's side that takes all bytes, and fails when they are synced",
  HOLDS,
  async () => {
    const cwd = failingDisk();
    const { status, stderr } = await create(cwd);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/can't write .*x: \w+: .*fsync/)]);
    requireUntouched(cwd);
  },
  { skip: noLoop },
);

fault(
  "disk full under --state-dir",
  "downloads go on and end well, their ends are told; the log says that the record isn't written",
  async () => {
    const stateDir = tmpfs(256 * 1024);
    const other = await start(snapshotDir(MB), "--state-dir", stateDir);
    const ids: (string | null)[] = [];
    while (!other.log().includes("could not be written")) {
      if (ids.length === 1) fillUp(stateDir);
      const answer = await fetch(`${other.url}/api/download?name=${NAME}`);
      await answer.bytes();
      ids.push(answer.headers.get("X-Prombackup-Download-Id"));
    }
    for (const id of ids) {
      const status = await fetch(`${other.url}/api/download_status?id=${id}`);
      expect(await status.json()).toMatchObject({ finished: { success: true } });
    }
  },
  { skip: noTmpfs },
);

fault(
  "--state-dir on a file system that is full at the start",
  "the server starts, keeps its record in memory and says so",
  async () => {
    const stateDir = tmpfs(256 * 1024);
    fillUp(stateDir);
    const other = await start(snapshotDir(MB), "--state-dir", stateDir);
    expect(other.log()).toContain("kept in memory, and a restart ends it");
    const answer = await fetch(`${other.url}/api/download?name=${NAME}`);
    await answer.bytes();
    const id = answer.headers.get("X-Prombackup-Download-Id");
    const status = await fetch(`${other.url}/api/download_status?id=${id}`);
    expect(await status.json()).toMatchObject({ finished: { success: true } });
  },
  { skip: noTmpfs },
);
