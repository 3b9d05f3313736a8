import { expect } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { download, idOf, NAME, snapshotDir, start, untilLogged } from "../e2e/support.ts";
import { makeSnapshot } from "../snapshots/support.ts";
import { run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";

const MB = 1_000_000;
const HOLDS = "the download is reset, the status and the log name the file; never a wrong archive";

const changes: [string, (file: string) => void, string][] = [
  ["vanishes", (file) => rmSync(file), "vanished"],
  ["shrinks", (file) => truncateSync(file, 10), "shrank"],
  ["grows", (file) => appendFileSync(file, "x"), "grew"],
];
for (const [what, change, message] of changes) {
  fault(`a file of the snapshot ${what} in a download`, HOLDS, async () => {
    const dir = snapshotDir(20 * MB);
    cpSync(join(dir, NAME, "data"), join(dir, NAME, "later"));
    const server = await start(dir);
    const running = await download(server.url, "1.1");
    change(join(dir, NAME, "later"));
    running.resume();
    expect(await running.rest).toBe("reset");
    const status = await fetch(`${server.url}/api/download_status?id=${idOf(running.started)}`);
    expect(await status.json()).toMatchObject({
      finished: { success: false, error_text: expect.stringContaining(`${NAME}/later`) },
    });
    expect(server.log()).toMatch(new RegExp(`msg="download failed" id=\\S+ .*later.*${message}`));
  });
}

/** Root without its rights is an owner like any other. */
const POWERLESS = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all"] : [];

fault(
  "a file of the snapshot that the server may not read",
  "the download is refused, or reset once it has begun; answer, status and log name the file",
  async () => {
    const dir = snapshotDir(MB);
    chmodSync(join(dir, NAME, "data"), 0);
    const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
    const server = await startServer(options, { under: POWERLESS });
    const answer = await fetch(`${server.url}/api/download?name=${NAME}`);
    expect([answer.status, await answer.text()]).toEqual([
      500,
      expect.stringContaining(`${NAME}/data`),
    ]);
    expect(server.log()).toMatch(new RegExp(`download failed.*${NAME}/data: not readable`));
  },
  { skip: !needs("setpriv") },
);

fault(
  "two servers on one snapshot directory: one downloads and deletes, the other prunes and deletes, all at once",
  "what is answered 200 is whole and proven, all else is refused as not there or in use; nothing is left",
  async () => {
    const dir = join(tempDir(), "snapshots");
    mkdirSync(dir);
    const servers = [await start(dir), await start(dir)];
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 25; round++) {
      const name = `20260101T0000${String(round).padStart(2, "0")}Z-abcdef`;
      makeSnapshot(dir, name, 20);
      const work = servers.flatMap(({ url }) => [
        fetchWhole(url, name),
        fetchWhole(url, name),
        fetch(`${url}/api/snapshots/${name}`, { method: "DELETE" }).then(({ status }) => status),
        fetch(`${url}/api/prune`, { method: "POST" }).then(({ status }) => status),
      ]);
      for (const outcome of await Promise.all(work)) {
        outcomes.set(String(outcome), (outcomes.get(String(outcome)) ?? 0) + 1);
      }
    }
    expect(
      [...outcomes.keys()].filter((key) => !["whole", "200", "404", "409"].includes(key)),
    ).toEqual([]);
    expect(outcomes.get("whole")).toBeGreaterThan(0);
    for (const { url } of servers) await fetch(`${url}/api/prune`, { method: "POST" });
    expect(readdirSync(dir)).toEqual([]);
  },
);

/** "whole" if all of it came, is proven, and holds all files; otherwise the status of the answer. */
async function fetchWhole(url: string, name: string): Promise<string | number> {
  const answer = await fetch(`${url}/api/download?name=${name}`);
  if (answer.status !== 200) {
    await answer.bytes();
    return answer.status;
  }
  const sha256 = new Bun.CryptoHasher("sha256");
  const bytes = await answer.bytes();
  const id = answer.headers.get("X-Prombackup-Download-Id");
  const status = JSON.parse(await (await fetch(`${url}/api/download_status?id=${id}`)).text());
  if (status.finished?.sha256_hex !== sha256.update(bytes).digest("hex")) return "not proven";
  const files = Buffer.from(bytes).toString("latin1").split("meta.json").length - 1;
  return files === 20 ? "whole" : `${files} blocks`;
}

fault(
  "a server is killed (-9) while it removes a snapshot",
  "no half of it is ever served; the next server finishes the removal when it starts",
  async () => {
    const dir = join(tempDir(), "snapshots");
    mkdirSync(dir);
    makeSnapshot(dir, NAME, 3000);
    const first = await start(dir);
    const removing = fetch(`${first.url}/api/snapshots/${NAME}`, { method: "DELETE" }).catch(
      () => {},
    );
    while (readdirSync(dir).includes(NAME)) await Bun.sleep(0);
    await first.stop("SIGKILL");
    await removing;
    const [leftover = ""] = readdirSync(dir);
    expect(leftover).toStartWith(".prombackup-deleting-");
    const second = await start(dir);
    await untilLogged(second, "finished the removal of a snapshot");
    expect((await fetch(`${second.url}/api/download?name=${NAME}`)).status).toBe(404);
    expect(readdirSync(dir)).toEqual([]);
  },
);

fault(
  "two servers with one --state-dir",
  "the second is refused at its start, and told what to do",
  async () => {
    const stateDir = tempDir();
    await start(tempDir(), "--state-dir", stateDir);
    const args = ["--snapshot-dir", tempDir(), "--state-dir", stateDir];
    const { status, stderr } = await run("prombackup-server", args);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("another prombackup-server uses the state directory"),
    ]);
  },
);
