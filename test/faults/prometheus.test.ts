import { describe, expect } from "bun:test";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { isUlid } from "../../src/tsdb/meta.ts";
import { makeSnapshot, ulid } from "../snapshots/support.ts";
import { atEnd } from "../support/at-end.ts";
import { run, startServer } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { fault } from "./fault.ts";

const NAME = "20260101T000000Z-0123456789abcdef";

function serve(endpoint: string, snapshotDir: string, ...args: string[]) {
  const options = ["--prometheus-endpoint", endpoint, "--snapshot-dir", snapshotDir];
  return startServer([...options, ...args]);
}

async function create(url: string) {
  const args = ["create", "--server", url, "--output", "x"];
  return run("prombackup", args, { cwd: tempDir() });
}

/** Something in Prometheus's place, for what the real one can't be made to do. */
function fake(answer: (request: Request) => Response | Promise<Response>): string {
  return String(Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer }).url);
}

/** The beginning of an answer, and something more of it after each pause. */
function unending(milliseconds: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: async (controller) => {
      controller.enqueue(new Uint8Array(milliseconds === 0 ? 65_536 : 1).fill(0x20));
      await Bun.sleep(milliseconds);
    },
  });
}

const success = (name: string) => Response.json({ status: "success", data: { name } });

const answers: [string, () => string, string, string][] = [
  ["down", () => "http://127.0.0.1:1", "is Prometheus running", "nothing listens there"],
  [
    "hanging",
    () => fake(() => new Promise(() => {})),
    "did not finish the snapshot within 300ms",
    "after --snapshot-timeout",
  ],
  [
    "hanging in the middle of its answer",
    () => fake(() => new Response(unending(60 * 60 * 1000))),
    "did not finish the snapshot within 300ms",
    "after --snapshot-timeout",
  ],
  [
    "answering a byte now and then",
    () => fake(() => new Response(unending(20))),
    "did not finish the snapshot within 300ms",
    "after --snapshot-timeout",
  ],
  [
    "answering without an end",
    () => fake(() => new Response(unending(0))),
    "not in Prometheus's form",
    "asks whether the endpoint is right",
  ],
  [
    "answering with a page",
    () =>
      fake(() => new Response("<html>Log in</html>", { headers: { "Content-Type": "text/html" } })),
    "not in Prometheus's form",
    "asks whether the endpoint is right",
  ],
  [
    "answering with garbage",
    () => fake(() => new Response(crypto.getRandomValues(new Uint8Array(60_000)))),
    "not in Prometheus's form",
    "asks whether the endpoint is right",
  ],
  [
    "redirecting",
    () => fake(() => new Response(null, { status: 302, headers: { Location: "/prometheus/" } })),
    "redirects to /prometheus/: set --prometheus-endpoint",
    "names the flag",
  ],
  [
    "answering success for a directory that isn't there",
    () => fake(() => success(NAME)),
    "--snapshot-dir must be the",
    "names the flag",
  ],
  [
    "answering success with a path for a name",
    () => fake(() => success("../../etc")),
    "invalid snapshot name",
    "refused",
  ],
];
for (const [state, endpoint, message, holds] of answers) {
  fault(
    `Prometheus ${state}`,
    `create fails in bounded time, in the operator's terms: ${holds}`,
    async () => {
      // On a busy machine, an answer must not be taken for none.
      const limit = message.endsWith("within 300ms") ? "300ms" : "1m";
      const server = await serve(endpoint(), tempDir(), "--snapshot-timeout", limit);
      const { status, stderr } = await create(server.url);
      expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    },
  );
}

describe("a real Prometheus", () => {
  const HOLDS =
    "create fails in the operator's terms, and tells the flag of Prometheus's that it takes";

  fault("Prometheus without its admin API", HOLDS, async () => {
    const prometheus = await startPrometheus({ adminApi: false });
    const server = await serve(prometheus.url, prometheus.snapshotDir);
    const { status, stderr } = await create(server.url);
    expect([status, stderr]).toEqual([1, expect.stringContaining("--web.enable-admin-api")]);
  });

  fault(
    "Prometheus in agent mode",
    "create fails in the operator's terms: there is no database that could be backed up",
    async () => {
      const server = await serve(await startAgent(), tempDir());
      const { status, stderr } = await create(server.url);
      const message = "in agent mode Prometheus keeps no database that could be backed up";
      expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    },
  );

  fault(
    "Prometheus stopped (SIGSTOP) while it takes a snapshot, and let go on",
    "the backup fails after --snapshot-timeout with the cause, and the next one succeeds",
    async () => {
      const { dataDir } = await makeBlocks({ hours: 2, series: 100 });
      const prometheus = await startPrometheus({ dataDir });
      const { url, snapshotDir, pid } = prometheus;
      const server = await serve(url, snapshotDir, "--snapshot-timeout", "5s");
      process.kill(pid, "SIGSTOP");
      const { status, stderr } = await create(server.url);
      const message = "Prometheus did not finish the snapshot within 5s";
      expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
      process.kill(pid, "SIGCONT");
      expect((await create(server.url)).status).toBe(0);
    },
  );

  fault(
    "Prometheus fails in the middle of a snapshot, since a file of a block is gone",
    "create fails with Prometheus's reason; what it leaves is listed as unconfirmed, its download refused, and prune removes it",
    async () => {
      const { dataDir } = await makeBlocks({ hours: 4, series: 100 });
      const { url, snapshotDir } = await startPrometheus({ dataDir });
      const blocks = readdirSync(dataDir).filter(isUlid).sort();
      rmSync(join(dataDir, blocks[1] ?? "", "tombstones"));
      const server = await serve(url, snapshotDir);
      const { status, stderr } = await create(server.url);
      expect([status, stderr]).toEqual([1, expect.stringMatching(/tombstones: no such file/)]);
      const [name = ""] = readdirSync(snapshotDir);
      expect(await listed(server.url)).toMatchObject({ snapshots: [{ name, confirmed: false }] });
      const refused = await fetch(`${server.url}/api/download?name=${name}`);
      expect([refused.status, await refused.text()]).toEqual([
        500,
        expect.stringContaining(`its block ${blocks[1]} has no tombstones`),
      ]);
      await fetch(`${server.url}/api/prune`, { method: "POST" });
      expect(readdirSync(snapshotDir)).toEqual([]);
    },
  );

  fault(
    "Prometheus killed (-9) in the middle of a snapshot, and started again",
    "create fails with the cause; what it leaves is listed as unconfirmed, its download refused; the next backup succeeds",
    async () => {
      const { dataDir } = await makeBlocks({ hours: 4, series: 100 });
      const { url, snapshotDir, pid, command } = await startPrometheus({ dataDir });
      const block = readdirSync(dataDir).filter(isUlid).sort()[1] ?? "";
      const server = await serve(url, snapshotDir);
      await killAtLink(pid, join(dataDir, block, "tombstones"));
      const { status, stderr } = await create(server.url);
      expect([status, stderr]).toEqual([1, expect.stringContaining("can't reach Prometheus")]);

      atEnd(killed(Bun.spawn([...command], { stdout: "ignore", stderr: "ignore" })));
      await until(() => answers200(`${url}/-/ready`));
      expect(await listed(server.url)).toMatchObject({ snapshots: [{ confirmed: false }] });
      const [name] = readdirSync(snapshotDir);
      const refused = await fetch(`${server.url}/api/download?name=${name}`);
      expect([refused.status, await refused.text()]).toEqual([
        500,
        expect.stringContaining(`its block ${block} has no tombstones`),
      ]);
      expect((await create(server.url)).status).toBe(0);
    },
    { skip: !needs("strace") },
  );
});

/** Has a process killed as it enters the call that gives this file another name. */
async function killAtLink(pid: number, path: string): Promise<void> {
  const inject = ["-P", path, "-e", "trace=linkat", "-e", "inject=linkat:signal=SIGKILL"];
  const strace = Bun.spawn(["strace", "-f", "-p", String(pid), ...inject], {
    stdout: "ignore",
    stderr: "pipe",
  });
  atEnd(killed(strace));
  // It says so when it is there.
  const said = strace.stderr.getReader();
  await said.read();
  said.releaseLock();
}

function killed(child: Bun.Subprocess): () => Promise<void> {
  return async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
}

async function listed(url: string): Promise<unknown> {
  return (await fetch(`${url}/api/snapshots`)).json();
}

/** A real Prometheus that only passes samples on, and its URL. */
async function startAgent(): Promise<string> {
  const directory = tempDir();
  const address = `127.0.0.1:${freePort()}`;
  writeFileSync(join(directory, "agent.yml"), "scrape_configs: []\n");
  const agent = Bun.spawn(
    [
      ...[findPrometheus("prometheus") ?? "", "--enable-feature=agent"],
      ...[`--config.file=${directory}/agent.yml`, `--storage.agent.path=${directory}/data`],
      `--web.listen-address=${address}`,
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  atEnd(killed(agent));
  const url = `http://${address}`;
  await until(() => answers200(`${url}/-/ready`));
  return url;
}

async function answers200(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

describe("a snapshot that no answer confirmed", () => {
  /** A Prometheus that begins a snapshot and fails, as one whose disk is full does. */
  function failing(snapshotDir: string, spoil: (snapshot: string) => void): string {
    return fake(() => {
      spoil(makeSnapshot(snapshotDir, NAME, 3));
      return Response.json({ status: "error", error: "no space left on device" }, { status: 500 });
    });
  }

  const spoils: [string, (snapshot: string) => void, string][] = [
    ["a block without its index", (s) => rmSync(join(s, ulid(2), "index")), "has no index"],
    [
      "a block without its meta.json",
      (s) => rmSync(join(s, ulid(1), "meta.json")),
      "has no meta.json",
    ],
    [
      "a block without its chunks",
      (s) => rmSync(join(s, ulid(0), "chunks"), { recursive: true }),
      "has no chunks",
    ],
    [
      "a block that isn't finished",
      (s) => mkdirSync(join(s, `${ulid(7)}.tmp-for-creation`)),
      "is not finished",
    ],
  ];
  for (const [what, spoil, message] of spoils) {
    fault(
      `Prometheus leaves a partial directory after a 500: ${what}`,
      "listed as unconfirmed, on the page too; its download is refused, and says what is missing",
      async () => {
        const dir = tempDir();
        const server = await serve(failing(dir, spoil), dir);
        const { status, stderr } = await create(server.url);
        expect([status, stderr]).toEqual([1, expect.stringContaining("no space left on device")]);
        expect(await listed(server.url)).toMatchObject({
          snapshots: [{ name: NAME, confirmed: false }],
        });
        expect(await (await fetch(server.url)).text()).toContain("unconfirmed");
        const refused = await fetch(`${server.url}/api/download?name=${NAME}`);
        expect([refused.status, await refused.text()]).toEqual([
          500,
          expect.stringMatching(
            new RegExp(`snapshot ${NAME} is incomplete: its block \\S+ ${message}`),
          ),
        ]);
        const pruned = await fetch(`${server.url}/api/prune`, { method: "POST" });
        expect(await pruned.json()).toMatchObject({ removed: [NAME] });
        expect(readdirSync(dir)).toEqual([]);
      },
    );
  }

  fault(
    "a snapshot that somebody else asked Prometheus for",
    "listed as unconfirmed, and sent when its structure is whole; one of ours is confirmed, after a restart too",
    async () => {
      const { dataDir } = await makeBlocks({ hours: 2, series: 100 });
      const prometheus = await startPrometheus({ dataDir });
      const stateDir = tempDir();
      const first = await serve(prometheus.url, prometheus.snapshotDir, "--state-dir", stateDir);
      const foreign = await fetch(`${prometheus.url}/api/v1/admin/tsdb/snapshot`, {
        method: "POST",
      });
      const own = await fetch(`${first.url}/api/snapshot`, { method: "POST", redirect: "manual" });
      const { name } = JSON.parse(await own.text());
      await first.stop();
      const second = await serve(prometheus.url, prometheus.snapshotDir, "--state-dir", stateDir);
      const { data } = JSON.parse(await foreign.text());
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      const expected = [
        { name: data.name, confirmed: false },
        { name, confirmed: true },
      ];
      const { snapshots } = JSON.parse(await (await fetch(`${second.url}/api/snapshots`)).text());
      expect(snapshots.toSorted(byName)).toMatchObject(expected.toSorted(byName));
      for (const each of [name, data.name]) {
        const answer = await fetch(`${second.url}/api/download?name=${each}`);
        expect(answer.status).toBe(200);
        await answer.bytes();
      }
    },
  );
});
