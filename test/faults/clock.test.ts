import { expect } from "bun:test";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDownloads, readPrune } from "../../src/api/contract.ts";
import { start } from "../e2e/support.ts";
import { makeSnapshot } from "../snapshots/support.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { fault } from "./fault.ts";

const skip = !needs("faketime");

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** The library that tells a process another wall clock; that of the system stays as it is. */
function library(): string {
  const { stdout } = Bun.spawnSync(["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
  return stdout.toString().trim();
}

/** A server whose wall clock can be set: so many milliseconds ahead of the right time. */
async function startWithClock(dir: string, ...args: string[]) {
  const file = join(tempDir(), "clock");
  // Renamed, since the server must not see it empty.
  const set = (milliseconds: number) => {
    writeFileSync(`${file}.new`, `${milliseconds < 0 ? "" : "+"}${milliseconds / 1000}`);
    renameSync(`${file}.new`, file);
  };
  set(0);
  const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
  const server = await startServer([...options, ...args], {
    env: {
      LD_PRELOAD: library(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      // Only people set clocks, and only the wall clock.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
  });
  return { server, set };
}

/** How far the server's clock is ahead, by its last log line. */
function ahead(server: RunningServer): number {
  const time = /time=(\S+)/.exec(server.log().trim().split("\n").at(-1) ?? "")?.[1] ?? "";
  return Date.parse(time) - Date.now();
}

/** A snapshot that is as old as that, by its name. */
function snapshot(dir: string, age: number, suffix: string): string {
  const stamp = new Date(Date.now() - age).toISOString().slice(0, 19).replace(/[-:]/g, "");
  const name = `${stamp}Z-${suffix}`;
  makeSnapshot(dir, name, 1);
  return name;
}

async function prune({ url }: RunningServer, keepWithin: string) {
  const answer = await fetch(`${url}/api/prune?keep_within=${keepWithin}`, { method: "POST" });
  return readPrune(await answer.json());
}

/** @returns the id of the download */
async function downloadWhole({ url }: RunningServer, name: string): Promise<string> {
  const answer = await fetch(`${url}/api/download?name=${name}`);
  await answer.bytes();
  return answer.headers.get("X-Prombackup-Download-Id") ?? "";
}

async function requireOnRecord({ url }: RunningServer, ids: string[]): Promise<void> {
  for (const id of ids) {
    const status = await fetch(`${url}/api/download_status?id=${id}`);
    expect(await status.json()).toMatchObject({ id, finished: { success: true } });
  }
  const list = readDownloads(await (await fetch(`${url}/api/downloads`)).json());
  expect(list.map(({ id }) => id)).toEqual(ids.toReversed());
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain(`prombackup_server_download_tracked_count ${ids.length}\n`);
}

for (const [what, jump] of [
  ["ahead by three days", 3 * DAY],
  ["back by three days", -3 * DAY],
] as const) {
  fault(
    `the clock jumps ${what} while a server runs, and to the right time again`,
    "nothing younger than keep_within is pruned, by request or by autoprune; no status vanishes, with a state directory neither",
    async () => {
      const dir = join(tempDir(), "snapshots");
      mkdirSync(dir);
      const stateDir = ["--state-dir", tempDir()];
      const autoprune = ["--autoprune", "--autoprune-interval", "500ms"];
      const { server, set } = await startWithClock(dir, ...stateDir, ...autoprune);
      const young = snapshot(dir, 30 * MINUTE, "young");
      snapshot(dir, 120 * MINUTE, "old");
      const ids = [await downloadWhole(server, young)];
      // Who comes first, this or autoprune, is not told.
      await prune(server, "1h");
      await until(() => readdirSync(dir).join() === young);

      for (const offset of [jump, 0]) {
        set(offset);
        ids.push(await downloadWhole(server, young));
        await until(() => Math.abs(ahead(server) - offset) < MINUTE);
        const made = snapshot(dir, -offset, `made${ids.length}`);
        const runs = () => server.log().split(`msg="snapshot kept" snapshot=${young}`).length;
        const before = runs();
        expect(await prune(server, "1h")).toMatchObject({ removed: [] });
        // One more is autoprune's.
        while (runs() < before + 3) await Bun.sleep(20);
        expect(readdirSync(dir)).toContain(young);
        expect(readdirSync(dir)).toContain(made);
        await requireOnRecord(server, ids);
      }
    },
    { skip },
  );
}

fault(
  "snapshots dated in the future",
  "listed, sent, and kept by every prune, one with keep_within=0 too; DELETE removes them",
  async () => {
    const dir = join(tempDir(), "snapshots");
    mkdirSync(dir);
    const server = await start(dir);
    const names = [1, 400].map((days) => snapshot(dir, -days * DAY, `in${days}days`));
    for (const keepWithin of ["0", "1h", "24h"]) {
      const pruned = await prune(server, keepWithin);
      expect(pruned?.removed).toEqual([]);
      const kept = names.map((name) => ({ name, reason: "dated in the future" }));
      expect(pruned?.kept.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(kept);
    }
    const list = await (await fetch(`${server.url}/api/snapshots`)).text();
    const ids: string[] = [];
    for (const name of names) {
      expect(list).toContain(name);
      ids.push(await downloadWhole(server, name));
      await requireOnRecord(server, ids);
      const removed = await fetch(`${server.url}/api/snapshots/${name}`, { method: "DELETE" });
      expect(removed.status).toBe(200);
    }
    expect(readdirSync(dir)).toEqual([]);
  },
);
