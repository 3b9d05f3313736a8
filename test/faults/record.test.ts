import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDownloads } from "../../src/api/contract.ts";
import { NAME, snapshotDir, start, untilLogged } from "../e2e/support.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { fault } from "./fault.ts";
import { canMount, tmpfs } from "./mounts.ts";
import { peerNeeds, startPeer } from "./peer.ts";

const FILE = "prombackup.db";
const LAST_SUCCESS = /^prombackup_last_success_timestamp_seconds\{.*$/gm;

async function downloadWhole({ url }: RunningServer): Promise<string> {
  const answer = await fetch(`${url}/api/download?name=${NAME}`);
  await answer.bytes();
  expect(answer.status).toBe(200);
  return answer.headers.get("X-Prombackup-Download-Id") ?? "";
}

async function record({ url }: RunningServer) {
  return readDownloads(await (await fetch(`${url}/api/downloads`)).json());
}

async function lastSuccesses({ url }: RunningServer): Promise<string[]> {
  const answer = await fetch(`${url}/metrics`);
  expect(answer.status).toBe(200);
  return (await answer.text()).match(LAST_SUCCESS) ?? [];
}

fault(
  "a server is killed (-9) in a download, with systemd's STATE_DIRECTORY",
  "the next one has the record: what ended as it ended, what ran as failed with the reason, and when work last succeeded",
  async () => {
    const dir = snapshotDir(50_000_000);
    const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
    const env = { STATE_DIRECTORY: tempDir() };
    const first = await startServer(options, { env });
    const whole = await downloadWhole(first);
    const [success] = await lastSuccesses(first);
    const peer = startPeer(
      first.url,
      `GET /api/download?name=${NAME} HTTP/1.1\r\nHost: x\r\n\r\n`,
      {
        most: 100_000,
      },
    );
    expect(await peer.line()).toStartWith("stalled");
    await first.stop("SIGKILL");
    const second = await startServer(options, { env });
    expect(await record(second)).toMatchObject([
      { finished: { success: false, error_text: expect.stringContaining("it was killed") } },
      { id: whole, finished: { success: true } },
    ]);
    expect(await lastSuccesses(second)).toEqual([success ?? ""]);
  },
  { skip: !peerNeeds },
);

const spoils: [string, (file: string) => void, string][] = [
  ["damaged", (file) => writeFileSync(file, "nonsense ".repeat(2000)), "not a database"],
  ["of a newer release", (file) => run(file, "PRAGMA user_version = 2"), "its version is 2"],
];
for (const [what, spoil, why] of spoils) {
  fault(
    `the record of downloads is ${what} when a server starts`,
    "it is set aside, the log says so and why; a new record begins, and backups go on",
    async () => {
      const dir = snapshotDir();
      const stateDir = tempDir();
      const first = await start(dir, "--state-dir", stateDir);
      await downloadWhole(first);
      await first.stop();
      spoil(join(stateDir, FILE));
      const before = readFileSync(join(stateDir, FILE));
      const second = await start(dir, "--state-dir", stateDir);
      expect(second.log()).toContain("the record of downloads can't be read and is set aside");
      expect(second.log()).toContain(why);
      const [aside = ""] = readdirSync(stateDir).filter((name) => name.includes("set-aside"));
      expect(second.log()).toContain(aside);
      expect(readFileSync(join(stateDir, aside))).toEqual(before);
      const id = await downloadWhole(second);
      await second.stop();
      expect(await record(await start(dir, "--state-dir", stateDir))).toMatchObject([{ id }]);
    },
  );
}

fault(
  "the record of downloads is damaged while the server runs",
  "downloads, their statuses, the list and the metrics go on, with what this server knows itself; the log says so",
  async () => {
    const stateDir = await longRecord(100_000);
    const args = ["--state-dir", stateDir, "--history-max-rows", "1000000"];
    const server = await start(snapshotDir(), ...args);
    const first = await downloadWhole(server);
    // More of it than fits SQLite's own memory. (The file of the shared memory is part of the process.)
    for (const name of readdirSync(stateDir).filter((file) => !file.endsWith("-shm")))
      writeFileSync(join(stateDir, name), Buffer.alloc(20_000_000, "nonsense "));
    const second = await downloadWhole(server);
    expect((await record(server)).map(({ id }) => id)).toEqual([second, first]);
    for (const id of [first, second]) {
      const status = await fetch(`${server.url}/api/download_status?id=${id}`);
      expect(await status.json()).toMatchObject({ finished: { success: true } });
    }
    await untilLogged(server, "the record of downloads could not be read");
    expect(await lastSuccesses(server)).toEqual([expect.stringContaining('work="download"')]);
    for (const path of ["/", "/api/snapshots", "/-/healthy"])
      expect((await fetch(server.url + path)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  },
);

fault(
  "--state-dir is read-only",
  "the server starts, keeps its record in memory and says so",
  async () => {
    const stateDir = tmpfs(1_000_000);
    Bun.spawnSync(["mount", "-o", "remount,ro", stateDir]);
    const server = await start(snapshotDir(), "--state-dir", stateDir);
    expect(server.log()).toContain("kept in memory, and a restart ends it");
    expect(await record(server)).toEqual([]);
    const id = await downloadWhole(server);
    expect(await record(server)).toMatchObject([{ id }]);
  },
  { skip: !canMount("tmpfs") },
);

fault(
  "more downloads than the record holds: 20,000 of an earlier server",
  "the newest 10,000 stay, or as many as --history-max-rows says",
  async () => {
    const dir = snapshotDir();
    const stateDir = await longRecord(20_000);
    for (const [args, most] of [
      [[], 10_000],
      [["--history-max-rows", "50"], 50],
    ] as const) {
      const server = await start(dir, "--state-dir", stateDir, ...args);
      const id = await downloadWhole(server);
      const ids = (await record(server)).map((download) => download.id);
      expect([ids.length, ids[0]]).toEqual([most, id]);
      expect(ids).toContain("old20000");
      await server.stop();
    }
  },
);

/** A state directory with so many failed downloads of an earlier server, an hour ago. */
async function longRecord(count: number): Promise<string> {
  const stateDir = tempDir();
  await (await start(snapshotDir(), "--state-dir", stateDir)).stop();
  const ended = Date.now() - 60 * 60 * 1000;
  run(
    join(stateDir, FILE),
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO downloads SELECT 'old' || i, 'a-b', ${ended}, 'why', '' FROM n`,
  );
  return stateDir;
}

function run(file: string, sql: string): void {
  const database = new Database(file);
  database.run(sql);
  database.close();
}
