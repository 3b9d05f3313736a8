import { expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exchange, NAME, start } from "../e2e/support.ts";
import { bunCommand, makeSnapshot, start as startProcess } from "../snapshots/support.ts";
import { atEnd } from "../support/at-end.ts";
import { startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { fault } from "./fault.ts";

const SECRET = "the secret outside";

/** Files outside that have the names of those of a snapshot, but for their content. */
function outside(): string {
  const directory = join(tempDir(), "outside");
  const block = makeSnapshot(join(directory, ".."), "outside", 3);
  for (const name of readdirSync(block)) {
    for (const file of ["index", "tombstones", "meta.json", "chunks/000001"])
      writeFileSync(join(block, name, file), SECRET);
  }
  return directory;
}

/**
 * Another process that swaps a directory for a symbolic link to another one and back, as fast as it
 * can, until it is killed.
 */
async function swap(directory: string, target: string) {
  const code = `
    const { renameSync, symlinkSync } = require("node:fs");
    const [directory, target] = ARGS;
    symlinkSync(target, directory + "-link");
    console.log("ready");
    const rename = (from, to) => {
      try {
        renameSync(from, to);
      } catch {
        // Removed by whom it is done to.
      }
    };
    for (;;) {
      rename(directory, directory + "-real");
      rename(directory + "-link", directory);
      rename(directory, directory + "-link");
      rename(directory + "-real", directory);
    }`;
  const other = startProcess(bunCommand(code, directory, target));
  if ((await other.line()) !== "ready") throw new Error("nobody swaps");
  return other;
}

/** The body as far as it came; undefined if it was refused. */
async function fetchCut(url: string, init?: RequestInit): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = [];
  try {
    const answer = await fetch(url, init);
    for await (const piece of answer.body ?? []) pieces.push(piece);
    if (answer.status !== 200) return undefined;
  } catch {
    // Cut on the way, as it should be when something isn't what it was.
  }
  return pieces.length === 0 ? undefined : Buffer.concat(pieces);
}

for (const what of ["the snapshot", "a block of it"]) {
  fault(
    `another process swaps ${what} for a symbolic link to a directory outside, and back, without pause`,
    "200 downloads, then deletions: nothing from outside is read, nothing there is removed",
    async () => {
      const dir = join(tempDir(), "snapshots");
      mkdirSync(dir);
      const server = await start(dir);
      const secret = outside();
      const block = readdirSync(secret)[0] ?? "";
      const made = makeSnapshot(dir, NAME, 3);
      const swapper =
        what === "the snapshot"
          ? await swap(made, secret)
          : await swap(join(made, block), join(secret, block));
      let sent = 0;
      for (let round = 0; round < 200; round++) {
        const content = await fetchCut(`${server.url}/api/download?name=${NAME}`);
        if (content !== undefined) sent++;
        expect(Buffer.from(content ?? []).includes(SECRET)).toBeFalse();
        await fetchCut(`${server.url}/api/snapshots`);
      }
      for (
        let tries = 0;
        tries < 100 && readdirSync(dir).some((n) => !n.endsWith("-link"));
        tries++
      )
        await fetchCut(`${server.url}/api/snapshots/${NAME}`, { method: "DELETE" });
      await swapper.kill();
      expect(sent).toBeGreaterThan(0);
      for (const name of readdirSync(secret)) {
        expect(readdirSync(join(secret, name)).sort()).toEqual([
          "chunks",
          "index",
          "meta.json",
          "tombstones",
        ]);
        expect(readFileSync(join(secret, name, "index"), "utf8")).toBe(SECRET);
      }
    },
  );
}

/** Ways to say "outside", and names that mean something to somebody on the way. */
const HOSTILE_NAMES = [
  ...["..", ".", "../outside", "../../etc", "/etc", "//etc", "a-b/../../outside", "./a-b"],
  ...["..%2foutside", "%2e%2e%2foutside", "%2e%2e/outside", "..%5coutside", "..\\outside"],
  ...["a-b%00", "a-b%00/../outside", "%00", "a-b%0a", "a-b%0d%0aX:%20y", "a-b/", "a-b%2f."],
  ...["..%c0%afoutside", "%252e%252e%252foutside", "a-b;x", "a-b?x", "*", "~", "-rf", "a-*"],
  ...[
    "link-1",
    "outside-1",
    `a-${"b".repeat(300)}`,
    `a-${"b".repeat(10_000)}`,
    "\u202ea-b",
    "\u00e4-b",
  ],
];

fault(
  "names with paths, escapes, NUL, line ends, links, 10,000 letters: downloaded, deleted, and given by Prometheus",
  "each refused, and told in one line; nothing outside is read or removed",
  async () => {
    const root = tempDir();
    const dir = join(root, "snapshots");
    mkdirSync(dir);
    makeSnapshot(root, "outside", 1);
    makeSnapshot(root, "outside-1", 1);
    symlinkSync(join(root, "outside"), join(dir, "link-1"));
    makeSnapshot(dir, NAME, 1);
    const before = readdirSync(root, { recursive: true }).sort();
    const server = await start(dir);
    for (const name of HOSTILE_NAMES) {
      const requests = [`GET /api/download?name=${name}`, `DELETE /api/snapshots/${name}`];
      for (const line of requests) {
        const head = `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
        const answer = await exchange(server.url, head);
        expect([line, answer]).toEqual([line, expect.stringMatching(/^HTTP\/1\.1 4\d\d /)]);
        expect(answer).not.toContain("meta.json");
      }
    }
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(before);
    for (const line of server.log().trim().split("\n")) expect(line).toStartWith("time=");

    const told = { name: "" };
    const fake = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ status: "success", data: told }),
    });
    atEnd(() => fake.stop(true));
    const options = ["--prometheus-endpoint", String(fake.url), "--snapshot-dir", dir];
    const fooled = await startServer(options);
    for (const name of HOSTILE_NAMES) {
      told.name = decoded(name);
      const answer = await fetch(`${fooled.url}/api/snapshot`, { method: "POST" });
      expect([name, answer.status]).toEqual([name, 500]);
    }
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(before);
  },
);

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
