import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { NAME, snapshotDir, start, untilLogged } from "../e2e/support.ts";
import { makeSnapshot } from "../snapshots/support.ts";
import { type RunningServer, run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { canMount, halfReadable } from "./mounts.ts";
import { pausing } from "./proxy.ts";

const MB = 1_000_000;
const HOLDS =
  "create fails with what happened to which file, and so do the status and the log, for each format; yesterday's file as it was";

/** Root without its rights is an owner like any other. */
const POWERLESS = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all"] : [];

function serve(dir: string): Promise<RunningServer> {
  const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
  return startServer(options, { under: POWERLESS });
}

/** A create over yesterday's archive, in which something happens when a part of the new one is there. */
async function create(server: RunningServer, format: string, happens: () => void) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x"), "yesterday");
  const proxy = pausing(server.url);
  const args = ["create", "--server", proxy.url, "--format", format, "--output", "x"];
  const creating = run("prombackup", args, { cwd });
  await Promise.race([proxy.paused, creating]);
  happens();
  proxy.resume();
  const { status, stderr } = await creating;
  expect(readdirSync(cwd)).toEqual(["x"]);
  expect(readFileSync(join(cwd, "x"), "utf8")).toBe("yesterday");
  return { status, stderr };
}

/** That the last download failed for this reason, by the answer to create, the status and the log. */
async function requireFailed(
  server: RunningServer,
  { status, stderr }: { status: number; stderr: string },
  message: string,
): Promise<void> {
  const reason = `${NAME}/z/later${message}`;
  expect([status, stderr]).toEqual([1, expect.stringContaining(reason)]);
  const record = await (await fetch(`${server.url}/api/downloads`)).json();
  expect(record).toMatchObject({
    downloads: [{ finished: { success: false, error_text: expect.stringContaining(reason) } }],
  });
  await untilLogged(server, "download failed");
  const lines = server.log().split("\n");
  expect(lines.filter((line) => line.includes("download failed"))).toEqual([
    expect.stringContaining(reason),
  ]);
}

const changes: [string, (file: string) => void, string][] = [
  ["vanishes", (file) => rmSync(file), ": it vanished while"],
  [
    "vanishes with its block",
    (file) => rmSync(dirname(file), { recursive: true }),
    ": it vanished",
  ],
  ["shrinks", (file) => truncateSync(file, 10), " changed while it was read: it shrank from"],
  ["grows", (file) => appendFileSync(file, "x"), " changed while it was read: it grew from"],
  ["becomes unreadable", (file) => chmodSync(file, 0), ": not readable by user"],
];
for (const [what, change, message] of changes) {
  fault(
    `a file of the snapshot ${what} in a download`,
    HOLDS,
    async () => {
      for (const format of ARCHIVE_FORMATS) {
        const dir = snapshotDir(12 * MB, "random");
        mkdirSync(join(dir, NAME, "z"));
        cpSync(join(dir, NAME, "data"), join(dir, NAME, "z/later"));
        const server = await serve(dir);
        const created = await create(server, format, () => change(join(dir, NAME, "z/later")));
        await requireFailed(server, created, message);
        await server.stop();
      }
    },
    { skip: !needs("setpriv") },
  );
}

fault(
  "a file of the snapshot lies on a part of a disk that fails (EIO)",
  HOLDS,
  async () => {
    for (const format of ARCHIVE_FORMATS) {
      const dir = halfReadable((directory) => {
        mkdirSync(join(directory, NAME, "z"), { recursive: true });
        writeFileSync(join(directory, NAME, "data"), randomBytes(12 * MB));
        writeFileSync(join(directory, NAME, "z/later"), randomBytes(30 * MB));
      });
      const server = await serve(dir);
      await requireFailed(server, await create(server, format, () => {}), ": i/o error (EIO)");
      await server.stop();
    }
  },
  { skip: !needs("setpriv", "mkfs.ext4") || !canMount("loop") },
);

fault(
  "a file of the snapshot that the server may not read",
  "the download is refused; answer, record and log name the file",
  async () => {
    const dir = snapshotDir(MB);
    chmodSync(join(dir, NAME, "data"), 0);
    const server = await serve(dir);
    const answer = await fetch(`${server.url}/api/download?name=${NAME}`);
    expect([answer.status, await answer.text()]).toEqual([
      500,
      expect.stringContaining(`${NAME}/data`),
    ]);
    await untilLogged(server, new RegExp(`download failed.*${NAME}/data: not readable`));
    expect(await (await fetch(`${server.url}/api/downloads`)).json()).toMatchObject({
      downloads: [{ finished: { error_text: expect.stringContaining(`${NAME}/data: not read`) } }],
    });
  },
  { skip: !needs("setpriv") },
);

fault(
  "the snapshot directory is replaced by a file while the server runs",
  "each request that needs it says so by its path; all is well when it is back",
  async () => {
    const dir = snapshotDir();
    const server = await start(dir);
    renameSync(dir, `${dir}.away`);
    writeFileSync(dir, "");
    const needing = [
      ["GET", "/"],
      ["GET", "/-/ready"],
      ["GET", "/api/snapshots"],
      ["GET", `/api/download?name=${NAME}`],
      ["POST", "/api/snapshot"],
      ["POST", "/api/prune"],
      ["DELETE", `/api/snapshots/${NAME}`],
    ] as const;
    for (const [method, path] of needing) {
      const answer = await fetch(server.url + path, { method });
      const expected = path === "/-/ready" ? 503 : 500;
      expect([path, answer.status]).toEqual([path, expected]);
      // That Prometheus can't be reached comes first.
      if (expected === 500) expect(await answer.text()).toContain(`${dir} is not a directory`);
    }
    rmSync(dir);
    renameSync(`${dir}.away`, dir);
    expect(await fetchWhole(server.url, NAME, 0)).toBe("whole");
  },
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
async function fetchWhole(url: string, name: string, blocks = 20): Promise<string | number> {
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
  return files === blocks ? "whole" : `${files} blocks`;
}

fault(
  "a server is killed (-9) while it removes a snapshot",
  "no half of it is ever served; the next server finishes the removal when it starts",
  async () => {
    const dir = join(tempDir(), "snapshots");
    mkdirSync(dir);
    makeSnapshot(dir, NAME, 500);
    // By the first of its threads that is about to delete a twentieth file.
    const inject = ["-e", "trace=unlink", "-e", "inject=unlink:signal=SIGKILL:when=20"];
    const under = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject];
    const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
    const first = await startServer(options, { under });
    const removing = fetch(`${first.url}/api/snapshots/${NAME}`, { method: "DELETE" });
    await expect(removing).rejects.toThrow();
    await first.stop("SIGKILL");
    const [leftover = ""] = readdirSync(dir);
    expect(leftover).toStartWith(".prombackup-deleting-");
    expect(readdirSync(join(dir, leftover))).not.toEqual([]);
    const second = await start(dir);
    await untilLogged(second, "finished the removal of a snapshot");
    expect((await fetch(`${second.url}/api/download?name=${NAME}`)).status).toBe(404);
    expect(readdirSync(dir)).toEqual([]);
  },
  { skip: !needs("strace") },
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
