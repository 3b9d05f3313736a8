import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { untilLogged } from "../e2e/support.ts";
import { run, startServer } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { fault } from "./fault.ts";
import { type Break, startProxy } from "./proxy.ts";

const { dataDir } = await makeBlocks({ hours: 4, series: 2000 });
const prometheus = await startPrometheus({ dataDir });
const options = ["--prometheus-endpoint", prometheus.url, "--snapshot-dir", prometheus.snapshotDir];
const server = await startServer(options);

const snapshots = () => readdirSync(prometheus.snapshotDir).length;

/** A directory with yesterday's backup, and a create into it. */
async function create(url: string, ...args: string[]) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x"), "yesterday");
  const all = ["create", "--server", url, "--output", "x", "--json", ...args];
  const result = await run("prombackup", all, { cwd });
  return { ...result, cwd, files: readdirSync(cwd), content: readFileSync(join(cwd, "x")) };
}

/** The second if it was within the head of the answer. */
const BROKEN = /broke off after|closed before there was an answer/;

const WAYS: Record<Exclude<Break, "hold">, [string, RegExp]> = {
  reset: ["network resets a download (RST) after random bytes", BROKEN],
  end: ["network ends a download (FIN) after random bytes", BROKEN],
  silence: ["network falls silent in a download after random bytes", /nothing came for 300ms/],
};
const HOWS = ["reset", "end", "silence"] as const;

describe.each(HOWS)("%s", (how) => {
  const [what, message] = WAYS[how];
  const random = () => 1 + Math.floor(Math.random() * 100_000);
  // Short where it is what ends the download; elsewhere a busy machine must not be taken for silence.
  const limit = (silence: string) => ["--stall-timeout", how === "silence" ? silence : "30s"];

  fault(
    what,
    "create fails in bounded time with the cause; yesterday's file as it was, nothing else left",
    async () => {
      for (const format of ARCHIVE_FORMATS) {
        const { url } = await startProxy(server.url, { how, after: random });
        const { status, stderr, files, content } = await create(
          url,
          "--format",
          format,
          ...limit("300ms"),
        );
        expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
        expect(files).toEqual(["x"]);
        expect(content.toString()).toBe("yesterday");
      }
    },
  );

  fault(
    `${what}, twice, with --retries 2`,
    "the same snapshot is downloaded again; the archive is whole; no second snapshot",
    async () => {
      const before = snapshots();
      const proxy = await startProxy(server.url, { how, after: random, times: 2 });
      const made = await create(proxy.url, "--retries", "2", ...limit("3s"));
      expect([made.status, made.stderr]).toEqual([0, expect.stringContaining("(2 of 2)")]);
      expect(made.files).toEqual(["x"]);
      expect((await run("prombackup", ["verify", join(made.cwd, "x")])).status).toBe(0);
      expect([snapshots() - before, proxy.downloads()]).toEqual([1, 3]);
    },
  );
});

fault(
  "network breaks a download on its way to standard output",
  "not tried again: what a pipe has taken can't be taken back",
  async () => {
    const proxy = await startProxy(server.url, { how: "silence", after: () => 90_000 });
    const args = ["create", "--server", proxy.url, "--output", "-", "--retries", "3"];
    // A busy machine must not be taken for silence before the first byte: that is tried again.
    args.push("--stall-timeout", "3s");
    const { status } = await run("prombackup", args, { cwd: tempDir() });
    expect([status, proxy.downloads()]).toEqual([1, 1]);
  },
);

fault(
  "answer to the snapshot call is lost, with --retries 3",
  "not asked for again: there might be two then",
  async () => {
    let calls = 0;
    const lost = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data: (socket) => {
          calls++;
          socket.terminate();
        },
      },
    });
    const { status, stderr } = await create(`http://127.0.0.1:${lost.port}`, "--retries", "3");
    lost.stop(true);
    expect([status, calls]).toEqual([1, 1]);
    expect(stderr).toContain("the connection was closed before there was an answer");
  },
);

fault(
  "nothing listens at first, with --retries",
  "tried again, since nothing can have arrived; succeeds when the server is there",
  async () => {
    const address = `127.0.0.1:${freePort()}`;
    const making = create(`http://${address}`, "--retries", "8");
    await startServer([...options, "--listen-address", address]);
    const { status, stderr } = await making;
    expect([status, stderr]).toEqual([0, expect.any(String)]);
  },
);

fault(
  "server accepts and says nothing",
  "create gives up after --snapshot-timeout, and says so",
  async () => {
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    const url = `http://127.0.0.1:${silent.port}`;
    const { status, stderr } = await create(url, "--snapshot-timeout", "200ms");
    silent.stop(true);
    expect([status, stderr]).toEqual([1, expect.stringContaining("nothing came for 200ms")]);
  },
);

fault(
  "server is killed (-9) in a download, and comes again",
  "create --retries succeeds; the download of before is on record as failed, with the reason",
  async () => {
    const stateDir = tempDir();
    const address = `127.0.0.1:${freePort()}`;
    const args = [...options, "--listen-address", address, "--state-dir", stateDir];
    // Slow, and over a network that stops in the middle: so the server is killed there for sure.
    const first = await startServer([...args, "--limit-rate", "1M"]);
    const proxy = await startProxy(first.url, { how: "hold", after: () => 50_000 });
    const making = create(proxy.url, "--retries", "8", "--stall-timeout", "3s");
    while (!first.log().includes('path="/api/download?')) await Bun.sleep(5);
    await first.stop("SIGKILL");
    const second = await startServer(args);
    const { status, cwd } = await making;
    expect(status).toBe(0);
    expect((await run("prombackup", ["verify", join(cwd, "x")])).status).toBe(0);
    await untilLogged(second, /level=ERROR msg="download failed" id=\S+ snapshot=\S+ error=/);
    const record = await (await fetch(`${second.url}/api/downloads`)).json();
    expect(record).toMatchObject({
      downloads: [
        { finished: { success: true } },
        { finished: { success: false, error_text: expect.stringContaining("it was killed") } },
      ],
    });
  },
);

test("a busy server is asked again when it wants to be", async () => {
  let asked = 0;
  const busy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/api/snapshot" && asked++ === 0)
        return new Response("busy", { status: 503, headers: { "Retry-After": "0" } });
      return fetch(server.url + pathname + search, { method: request.method, redirect: "manual" });
    },
  });
  const { status, stderr } = await create(String(busy.url), "--retries", "1");
  await busy.stop(true);
  expect([status, stderr]).toEqual([0, expect.stringContaining("503: busy: trying again in 1s")]);
});
