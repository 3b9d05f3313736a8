import { expect } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PARTIAL_SUFFIX } from "../../src/lib/files/file-sink.ts";
import { checksumLine } from "../../src/lib/files/sha256sum.ts";
import { snapshotDir, start } from "../e2e/support.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { fixedSnapshot } from "./proxy.ts";

const server = await start(snapshotDir(1_500_000, "random"));
const url = fixedSnapshot(server.url);

const YESTERDAY = "yesterday";
const CHECKSUM = checksumLine(sha256(YESTERDAY), "x");

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The archive and its directory; and its checksum file. Each with its unfinished form. */
const FILES = [
  ["", "/x", `/x${PARTIAL_SUFFIX}`],
  ["/x.sha256", `/x.sha256${PARTIAL_SUFFIX}`],
];

interface Faulty {
  readonly call: string;
  /** Which of the calls fails, in each thread, as strace has it: "2", or "1+" for all. */
  readonly when: string;
  /** Behind the directory's name: calls about others are left alone. */
  readonly files: readonly string[];
  readonly args?: readonly string[];
}

/** A create over yesterday's archive and its checksum file, in which a system call fails. */
async function create({ call, when, files, args = ["--checksum-file"] }: Faulty) {
  const directory = tempDir();
  writeFileSync(join(directory, "x"), YESTERDAY);
  writeFileSync(join(directory, "x.sha256"), CHECKSUM);
  const target = join(directory, "x");
  const trace = join(tempDir(), "trace");
  const strace = ["strace", "-f", "-qq", "-o", trace];
  for (const file of files) strace.push("-P", directory + file);
  strace.push("-e", `trace=${call}`, "-e", `inject=${call}:error=EIO:when=${when}`);
  const command = ["create", "--server", url, "--output", target, ...args];
  const child = Bun.spawn([...strace, ...commandLine("prombackup", command)], {
    env: cleanEnvironment(),
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = await child.stderr.text();
  const status = await child.exited;
  const failed = readFileSync(trace, "utf8").includes("(INJECTED)");
  return { status, stderr, directory, target, failed };
}

type Created = Awaited<ReturnType<typeof create>>;

function requireHeld({ status, stderr, directory, target }: Created): void {
  expect(stderr).toMatch(/^prombackup: [^\n]+\n$/);
  expect(stderr).toMatch(/EIO|i\/o error/);
  expect([status, stderr]).toEqual([1, expect.stringContaining(target)]);
  const content = readFileSync(target);
  const names = readdirSync(directory).filter((name) => !name.endsWith(PARTIAL_SUFFIX));
  if (/is complete and (proven|in place)/.test(stderr)) {
    // The new archive, with its own checksum or without one.
    expect(content.length).toBeGreaterThan(1_500_000);
    const told = names.includes("x.sha256") ? readFileSync(`${target}.sha256`, "utf8") : undefined;
    expect([undefined, checksumLine(sha256(content), "x")]).toContain(told);
  } else {
    expect(content.toString()).toBe(YESTERDAY);
    expect(names).toEqual(["x", "x.sha256"]);
    expect(readFileSync(`${target}.sha256`, "utf8")).toBe(CHECKSUM);
  }
}

const HOLDS =
  "create fails with the cause; yesterday's archive and its checksum as they were, or the new one whole and said so";

for (const call of ["openat", "flock", "write", "fsync", "rename", "unlink"]) {
  const removable = call !== "unlink";
  fault(
    `the first, the second, and each further ${call}(2) of create on its files fails (EIO)`,
    `${HOLDS}; ${removable ? "nothing else left" : "what couldn't be removed is by the next run"}`,
    async () => {
      for (const files of FILES) {
        let n = 1;
        for (; ; n++) {
          const created = await create({ call, when: String(n), files });
          if (!created.failed) break;
          requireHeld(created);
          if (!removable) expect(await createAgain(created)).toBe(0);
          const left = readdirSync(created.directory);
          expect(left.filter((name) => name.endsWith(PARTIAL_SUFFIX))).toEqual([]);
        }
        expect(n).toBeGreaterThan(1);
      }
    },
    { skip: !needs("strace") },
  );
}

for (const call of ["openat", "read"]) {
  fault(
    `yesterday's checksum file can't be read (EIO in ${call}(2)), on a create that isn't asked for one`,
    "create fails with the cause before a download; yesterday's archive and its checksum as they were",
    async () => {
      const files = ["/x.sha256"];
      const created = await create({ call, when: "1+", files, args: [] });
      expect([created.failed, created.stderr]).toEqual([
        true,
        expect.stringContaining("x.sha256 can't be read"),
      ]);
      requireHeld(created);
      expect(readdirSync(created.directory)).toEqual(["x", "x.sha256"]);
    },
    { skip: !needs("strace") },
  );
}

async function createAgain({ target }: Created): Promise<number> {
  const args = ["create", "--server", url, "--output", target, "--checksum-file"];
  return (await run("prombackup", args)).status;
}
