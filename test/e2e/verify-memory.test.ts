import { expect, test } from "bun:test";
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { makeBlocks } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

const SNAPSHOT = "20260101T000000Z-0123456789abcdef";
const { dataDir } = await makeBlocks({ hours: 2, series: 2000 });

/** A snapshot with a real block so many times over, each under a ULID of its own. */
function repeated(times: number): string {
  const directory = tempDir();
  const block = join(dataDir, readdirSync(dataDir)[0] ?? "");
  const meta: object = JSON.parse(readFileSync(join(block, "meta.json"), "utf8"));
  for (let i = 0; i < times; i++) {
    const ulid = `01HF${String(i).padStart(22, "0")}`;
    const copy = join(directory, SNAPSHOT, ulid);
    mkdirSync(join(copy, "chunks"), { recursive: true });
    writeFileSync(join(copy, "meta.json"), JSON.stringify({ ...meta, ulid }));
    for (const file of ["index", "tombstones", "chunks/000001"]) {
      linkSync(join(block, file), join(copy, file));
    }
  }
  return directory;
}

/** What the system tells of a process: nothing if it is gone, of a zombie nothing of memory. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}

/** The most memory that the check of so many blocks takes, in MiB. */
async function peak(times: number): Promise<number> {
  const pack = Bun.spawn(["tar", "--hard-dereference", "-C", repeated(times), "-c", SNAPSHOT], {
    stdout: "pipe",
  });
  const child = Bun.spawn([...commandLine("prombackup", ["verify", "-", "--json"])], {
    env: cleanEnvironment(),
    stdin: pack.stdout,
    stdout: "pipe",
    stderr: "ignore",
  });
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, Number(/^VmHWM:\s+(\d+)/m.exec(statusOf(child.pid))?.[1] ?? 0));
  }, 10);
  const report: { blocks: unknown[] } = JSON.parse(await child.stdout.text());
  clearInterval(timer);
  expect(report.blocks).toHaveLength(times);
  return most / 1024;
}

test("what verify takes is that of a block, however many there are", async () => {
  const few = await peak(40);
  expect(few).toBeGreaterThan(50);
  // The heap goes up and down by some 40 MiB; the indexes of the 260 blocks more are 80 MB.
  expect((await peak(300)) - few).toBeLessThan(80);
}, 120_000);
