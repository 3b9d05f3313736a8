import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

const skip = !needs("prometheus", "promtool", "tar", "gzip");

function startDemo(env: Record<string, string> = {}) {
  const directory = tempDir();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../scripts/demo.ts")], {
    env: { ...process.env, TMPDIR: directory, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const left = () => readdirSync(directory).filter((name) => name.startsWith("prombackup-"));
  return { child, left };
}

describe("The demo", () => {
  test.skipIf(skip)("does the main job and leaves nothing behind", async () => {
    const { child, left } = startDemo();
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect(await child.exited, stderr).toBe(0);
    for (const format of ["tar", "tgz", "tzst"]) {
      expect(stdout).toContain(`\n$ prombackup create --format ${format} --output `);
    }
    expect(stdout).toContain("\n$ prombackup prune --keep-within 0\n");
    expect(stdout).toContain("\n$ prombackup restore backup.tar.zst --data-dir restored/data\n");
    // Of what tar has extracted, and of what was restored.
    const same = "\n=> the same answers, down to each of 7200 samples in 10 series\n";
    expect(stdout.split(same)).toHaveLength(3);
    // Not a terminal: no colour.
    expect(stdout).not.toContain("\u001b");
    expect(left()).toEqual([]);
  });

  test.skipIf(skip)("ends with 1 and the reason if a step fails", async () => {
    const { child, left } = startDemo({ PROMTOOL_BIN: Bun.which("false") ?? "" });
    const [stderr] = await Promise.all([child.stderr.text(), child.stdout.text()]);
    expect(stderr).toBe("demo: promtool tsdb ended with 1\n");
    expect(await child.exited).toBe(1);
    expect(left()).toEqual([]);
  });

  const statuses = [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const;
  for (const [signal, status] of statuses) {
    test.skipIf(skip)(`cleans up after ${signal}`, async () => {
      const { child, left } = startDemo();
      // In the middle of it, with a Prometheus and a server running.
      let shown = "";
      for await (const chunk of child.stdout) {
        const before = shown;
        shown += new TextDecoder().decode(chunk);
        const create = "$ prombackup create";
        if (shown.includes(create) && !before.includes(create)) child.kill(signal);
      }
      expect(await child.exited).toBe(status);
      expect(left()).toEqual([]);
      for (const url of shown.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? []) {
        await expect(fetch(url)).rejects.toThrow();
      }
    });
  }
});
