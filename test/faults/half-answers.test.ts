import { expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { snapshotDir, start } from "../e2e/support.ts";
import { startNginx } from "../support/nginx.ts";
import { type Finished, run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { CLEAN_ENDS, type CleanEnd, fixedSnapshot, startTruncating } from "./proxy.ts";

const server = await start(snapshotDir(300_000, "random"));
const fixed = fixedSnapshot(server.url);

/** A create over yesterday's archive; what there is of it afterwards. */
async function create(url: string, ...args: string[]): Promise<Finished & { content: Buffer }> {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x"), "yesterday");
  const finished = await run("prombackup", ["create", "--server", url, "--output", "x", ...args], {
    cwd,
  });
  expect(readdirSync(cwd)).toEqual(["x"]);
  return { ...finished, content: readFileSync(join(cwd, "x")) };
}

const MESSAGE = expect.stringContaining("damaged on the way");

async function requireNoticed(end: CleanEnd, format: string): Promise<void> {
  const asked = ["--format", format];
  const once = await startTruncating(fixed, end);
  const { status, stderr, content } = await create(once.url, ...asked);
  expect([status, stderr, content.toString()]).toEqual([1, MESSAGE, "yesterday"]);

  const piped = await startTruncating(fixed, end);
  const args = ["create", "--server", piped.url, "--output", "-", "--retries", "2", ...asked];
  const streamed = await run("prombackup", args, { cwd: tempDir() });
  expect([streamed.status, streamed.stderr, piped.downloads()]).toEqual([1, MESSAGE, 1]);

  const twice = await startTruncating(fixed, end, 2);
  const made = await create(twice.url, "--retries", "2", ...asked);
  expect([made.status, twice.downloads()]).toEqual([0, 3]);
  // The pauses grow.
  expect(made.stderr).toMatch(/again in 1s \(1 of 2\)\n.*again in 2s \(2 of 2\)\n/);
}

for (const [what, end] of Object.entries(CLEAN_ENDS)) {
  fault(
    `a proxy answers 200 with some of the archive and a clean end: ${what}`,
    "create fails with the cause, for each format; yesterday's file as it was; with --output -, too; with --retries 2 the archive is whole",
    async () => {
      await Promise.all(ARCHIVE_FORMATS.map((format) => requireNoticed(end, format)));
    },
  );
}

fault(
  "server is killed (-9) in a download behind nginx, which takes that for a clean end by HTTP/1.0, and comes again without a record",
  "create fails with the cause; with --retries it succeeds",
  async () => {
    const dir = snapshotDir(20_000_000);
    const address = `127.0.0.1:${freePort()}`;
    const nginx = await startNginx(
      `location / { proxy_pass http://${address}; proxy_buffering off; }`,
    );
    for (const [retries, expected, message] of [
      ["0", 1, "so it can't be proven (was it restarted?)"],
      ["8", 0, "(was it restarted?): trying again"],
    ] as const) {
      const slow = await start(dir, "--listen-address", address, "--limit-rate", "8M");
      const begun = Promise.withResolvers<void>();
      const restarted = Promise.withResolvers<void>();
      const proxy = fixedSnapshot(nginx, (answer) => {
        begun.resolve();
        return endedAfter(answer, restarted.promise);
      });
      const creating = create(proxy, "--retries", retries);
      await begun.promise;
      await slow.stop("SIGKILL");
      const next = await start(dir, "--listen-address", address);
      restarted.resolve();
      const { status, stderr, content } = await creating;
      expect([status, stderr]).toEqual([expected, expect.stringContaining(message)]);
      if (expected === 1) expect(content.toString()).toBe("yesterday");
      await next.stop();
    }
  },
  { skip: !needs("nginx") },
);

/** An answer whose end is told no sooner than that. */
function endedAfter(answer: Response, moment: Promise<void>): Response {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield* answer.body ?? [];
    await moment;
  }
  return new Response(pieces(), answer);
}
