import { expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NAME, start } from "../e2e/support.ts";
import { bunCommand, makeSnapshot, start as startProcess } from "../snapshots/support.ts";
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
