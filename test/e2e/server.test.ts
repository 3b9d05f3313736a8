import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Peer, peerNeeds, startPeer } from "../faults/peer.ts";
import { AS_ANOTHER } from "../support/another-user.ts";
import { atEnd } from "../support/at-end.ts";
import { compiledPrograms } from "../support/compiled.ts";
import { cleanEnvironment, commandLine, run, startServer } from "../support/programs.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { download, exchange, idOf, NAME, snapshotDir, start, untilLogged } from "./support.ts";

describe("start", () => {
  const refusals: [string, (dir: string) => string[], string][] = [
    [
      "a file as the snapshot directory",
      (dir) => {
        writeFileSync(join(dir, "f"), "");
        return ["--snapshot-dir", join(dir, "f")];
      },
      "is not a directory",
    ],
    [
      "a snapshot directory whose parent isn't there",
      (dir) => ["--snapshot-dir", join(dir, "no", "snapshots")],
      "nor its parent can be found",
    ],
    [
      "Prometheus's data directory as the snapshot directory",
      (dir) => {
        mkdirSync(join(dir, "wal"));
        return ["--snapshot-dir", dir];
      },
      "is Prometheus's data directory: its subdirectory snapshots is meant",
    ],
    [
      "a directory of blocks as the snapshot directory",
      (dir) => {
        mkdirSync(join(dir, "01BX5ZZKBKACTAV9WEVGEMMVRZ"));
        writeFileSync(join(dir, "01BX5ZZKBKACTAV9WEVGEMMVRZ", "meta.json"), "{}");
        return ["--snapshot-dir", dir];
      },
      "holds blocks, as a data directory or a single snapshot does: --snapshot-dir must name",
    ],
    [
      "an address that is no address of this machine",
      (dir) => ["--snapshot-dir", dir, "--listen-address", "192.0.2.1:1234"],
      "can't listen on 192.0.2.1:1234",
    ],
    [
      "an address whose name can't be resolved",
      (dir) => ["--snapshot-dir", dir, "--listen-address", "no.such.host.invalid:1234"],
      "can't listen on no.such.host.invalid: the name can't be resolved",
    ],
  ];
  test.each(refusals)("%s is told, with status 1", async (_, args, message) => {
    const { status, stdout, stderr } = await run("prombackup-server", args(tempDir()));
    expect([status, stdout, stderr]).toEqual([1, "", expect.stringContaining(message)]);
  });

  test("a rate at which its own limit for silence would cut downloads is told, with status 2", async () => {
    const args = ["--snapshot-dir", tempDir(), "--limit-rate", "64K", "--stall-timeout", "10s"];
    const { status, stderr } = await run("prombackup-server", args);
    expect([status, stderr]).toEqual([2, expect.stringContaining("give 104858 or more")]);
  });

  test("an address in use is told", async () => {
    const dir = tempDir();
    const { url } = await start(dir);
    const address = new URL(url).host;
    const { status, stderr } = await run("prombackup-server", [
      "--snapshot-dir",
      dir,
      "--listen-address",
      address,
    ]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(`${address} is in use by another program`),
    ]);
  });

  test("a missing snapshot directory is a notice, and counts as empty", async () => {
    const dir = join(tempDir(), "snapshots");
    const server = await start(dir);
    expect(server.log()).toContain("Prometheus makes it with its first snapshot");
    expect(await (await fetch(`${server.url}/api/snapshots`)).json()).toEqual({ snapshots: [] });
    const pruned = await fetch(`${server.url}/api/prune`, { method: "POST" });
    expect([pruned.status, await pruned.json()]).toEqual([200, { removed: [], kept: [] }]);
  });

  test("the snapshot directory may be a symbolic link; nothing below it is followed", async () => {
    const dir = snapshotDir();
    const link = join(tempDir(), "link");
    symlinkSync(dir, link);
    symlinkSync(NAME, join(dir, "linked-snapshot"));
    const { url } = await start(link);
    expect((await fetch(`${url}/api/download?name=${NAME}`)).status).toBe(200);
    const linked = await fetch(`${url}/api/download?name=linked-snapshot`);
    expect([linked.status, await linked.text()]).toEqual([
      404,
      "snapshot invalid: linked-snapshot\n",
    ]);
    const removed = await fetch(`${url}/api/snapshots/linked-snapshot`, { method: "DELETE" });
    expect(removed.status).toBe(404);
    expect(readdirSync(dir)).toContain("linked-snapshot");
  });
});

describe("a request", () => {
  const heads: [string, string][] = [
    ["of HTTP/1.0 without a Host", "HTTP/1.0"],
    ["with an empty Host", "HTTP/1.1\r\nHost:"],
    ["with a Host of two words", "HTTP/1.1\r\nHost: a b"],
    ["with half an address for a Host", "HTTP/1.1\r\nHost: [::"],
    ["with a path for a Host", "HTTP/1.1\r\nHost: a/b?c#d"],
    ["with a port beyond all for a Host", "HTTP/1.1\r\nHost: a:99999"],
    ["with a user for a Host", "HTTP/1.1\r\nHost: user@a"],
  ];
  test.each(heads)("%s is answered and logged as any other", async (_, head) => {
    const server = await start(snapshotDir());
    const answer = await exchange(
      server.url,
      `GET /api/download_status?id=x%20y ${head}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.\d 404 .*\r\n\r\nDownload x y not found\n/s);
    await untilLogged(
      server,
      'method=GET path="/api/download_status?id=x%20y" status=404 peer=127.0.0.1',
    );
  });
});

describe("a prune", () => {
  const form = (text: string) => ({
    body: text,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  });
  const multipart = new FormData();
  multipart.set("keep_within", "24h");
  const slips: [string, string, RequestInit, number][] = [
    ["with an empty keep_within", "?keep_within=", {}, 400],
    ["with two of them", "?keep_within=24h&keep_within=0", {}, 400],
    ["with an empty one in a form", "?keep_within=24h", form("keep_within="), 400],
    ["with two in a form", "", form("keep_within=24h&keep_within=0"), 400],
    ["with a form of another kind", "", { body: multipart }, 415],
  ];
  test.each(slips)("%s is refused, and removes nothing", async (_, query, init, status) => {
    const dir = snapshotDir();
    const { url } = await start(dir);
    const response = await fetch(`${url}/api/prune${query}`, { method: "POST", ...init });
    expect(response.status).toBe(status);
    expect(readdirSync(dir)).toEqual([NAME]);
  });
});

describe("a download", () => {
  test.each(["1.0", "1.1"])(
    "with a link in the snapshot is sent, then cut, and the status names it (HTTP/%s)",
    async (version) => {
      const dir = snapshotDir(2_000_000);
      symlinkSync("/etc/passwd", join(dir, NAME, "evil"));
      const server = await start(dir);
      const running = await download(server.url, version);
      running.resume();
      expect(await running.rest).toBe("reset");
      // The rest of the archive comes all the same.
      expect(running.received()).toBeGreaterThan(2_000_000);
      const status = await fetch(`${server.url}/api/download_status?id=${idOf(running.started)}`);
      expect(await status.json()).toMatchObject({
        finished: {
          success: false,
          error_text: expect.stringContaining(`${NAME}/evil`),
          sha256_hex: "",
        },
      });
      await untilLogged(server, /level=ERROR msg="download failed" id=\S+ .*evil/);
    },
  );

  test("whose client leaves is over, and on record as failed", async () => {
    const server = await start(snapshotDir(50_000_000));
    const aborter = new AbortController();
    const response = await fetch(`${server.url}/api/download?name=${NAME}`, {
      signal: aborter.signal,
    });
    const id = response.headers.get("X-Prombackup-Download-Id");
    aborter.abort();
    await untilLogged(server, "download failed");
    const status = await fetch(`${server.url}/api/download_status?id=${id}`);
    expect(await status.json()).toMatchObject({
      finished: { success: false, error_text: "the client closed the connection" },
    });
  });

  test("keeps its snapshot from prune and from DELETE while it runs", async () => {
    const dir = snapshotDir(50_000_000);
    const server = await start(dir);
    const running = await download(server.url, "1.1");
    const pruned = await fetch(`${server.url}/api/prune`, { method: "POST" });
    expect(await pruned.json()).toMatchObject({ removed: [], kept: [{ name: NAME }] });
    const removed = await fetch(`${server.url}/api/snapshots/${NAME}`, { method: "DELETE" });
    expect([removed.status, await removed.text()]).toEqual([
      409,
      expect.stringContaining("in use"),
    ]);
    running.resume();
    await untilLogged(server, "download finished");
    const after = await fetch(`${server.url}/api/prune`, { method: "POST" });
    expect(await after.json()).toMatchObject({ removed: [NAME] });
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("%s without downloads: status 0", async (signal) => {
    const server = await start(snapshotDir());
    expect(await server.stop(signal)).toBe(0);
    expect(server.log()).toContain("msg=stopped");
  });

  test.each(["1.0", "1.1"])(
    "cuts a download after the grace time, by a reset (HTTP/%s)",
    async (version) => {
      const server = await start(snapshotDir(100_000_000), "--shutdown-grace", "200ms");
      const running = await download(server.url, version);
      const stopped = server.stop();
      await untilLogged(server, "download failed");
      running.resume();
      expect(await running.rest).toBe("reset");
      expect(await stopped).toBe(0);
      expect(server.log()).toContain('error="the server was stopped"');
    },
  );

  test("gives up the snapshot that Prometheus works on", async () => {
    let asked = 0;
    const slow = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 0,
      fetch: async (request) => {
        asked++;
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        return new Response();
      },
    });
    atEnd(() => slow.stop(true));
    const server = await startServer([
      ...["--prometheus-endpoint", String(slow.url), "--snapshot-dir", tempDir()],
    ]);
    const creating = fetch(`${server.url}/api/snapshot`, { method: "POST" });
    while (asked === 0) await Bun.sleep(5);
    const stopped = server.stop();
    const answer = await creating;
    expect([answer.status, await answer.text()]).toEqual([
      503,
      expect.stringContaining("was stopped while Prometheus made the snapshot"),
    ]);
    expect(await stopped).toBe(0);
  });

  test("ends with 0 although nobody reads the log any more", async () => {
    const dir = snapshotDir();
    const command = commandLine("prombackup-server", [
      ...["--snapshot-dir", dir, "--listen-address", "127.0.0.1:0"],
    ]);
    const child = Bun.spawn(command, { env: cleanEnvironment(), stderr: "pipe" });
    atEnd(() => child.kill("SIGKILL"));
    const reader = child.stderr.getReader();
    let log = "";
    while (!log.includes("msg=listening")) {
      log += new TextDecoder().decode((await reader.read()).value);
    }
    await reader.cancel();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });

  test.skipIf(!peerNeeds)(
    "never ends cleanly what wasn't sent whole, on record as sent or not (HTTP/1.0)",
    async () => {
      const dir = snapshotDir();
      const server = await start(dir, "--shutdown-grace", "200ms", "--max-downloads", "100");
      const sizes = new Map<Peer, number>();
      const isSent = (size: number) =>
        new RegExp(`download finished" id=\\S+ snapshot=20260101T000000Z-${size} `).test(
          server.log(),
        );
      /** Downloads of these sizes, which stall; what of them is on record as sent, after a while. */
      const stall = async (all: number[]): Promise<number[]> => {
        for (const size of all) {
          const name = `20260101T000000Z-${size}`;
          mkdirSync(join(dir, name));
          writeFileSync(join(dir, name, "data"), Buffer.alloc(size));
          const request = `GET /api/download?name=${name} HTTP/1.0\r\nHost: x\r\n\r\n`;
          const peer = startPeer(server.url, request, { most: 1000, buffer: 4096 });
          sizes.set(peer, size);
          expect(await peer.line()).toStartWith("stalled");
        }
        return all.filter(isSent);
      };
      // Up to some size, the system takes everything; what is on record as sent and not taken by it
      // lies in the server, and is of a size just above that.
      const steps = (from: number, width: number) =>
        Array.from({ length: 12 }, (_, i) => from + i * width);
      const taken = Math.max(...(await stall(steps(2_000_000, 250_000))));
      await stall(steps(taken + 10_000, 20_000));
      expect(await server.stop()).toBe(0);
      for (const [peer, size] of sizes) {
        peer.resume();
        const [how, bytes] = (await peer.line()).split(" ");
        // The head of the answer and of the tar come on top.
        if (how === "end") expect(Number(bytes)).toBeGreaterThan(size);
        else expect(how).toBe("reset");
      }
    },
  );

  test("lets a download end within the grace time, and tells its status", async () => {
    const server = await start(snapshotDir(50_000_000));
    const running = await download(server.url, "1.1");
    const stopped = server.stop();
    await untilLogged(server, "msg=stopping");
    const refused = await fetch(`${server.url}/api/snapshots`);
    expect([refused.status, await refused.text()]).toEqual([
      503,
      "prombackup-server is shutting down\n",
    ]);
    running.resume();
    await untilLogged(server, "download finished");
    const status = await fetch(`${server.url}/api/download_status?id=${idOf(running.started)}`);
    expect(await status.json()).toMatchObject({ finished: { success: true } });
    expect(await stopped).toBe(0);
  });
});

describe("snapshots are asked for", () => {
  test("one at a time, and beyond the queue answered 503", async () => {
    let atOnce = 0;
    let most = 0;
    const go = Promise.withResolvers<void>();
    const slow = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 0,
      fetch: async () => {
        most = Math.max(most, ++atOnce);
        await go.promise;
        atOnce--;
        return Response.json({ status: "error", error: "tried enough" }, { status: 500 });
      },
    });
    atEnd(() => slow.stop(true));
    const server = await startServer([
      "--prometheus-endpoint",
      String(slow.url),
      "--snapshot-dir",
      tempDir(),
    ]);
    const requests = Array.from({ length: 12 }, () =>
      fetch(`${server.url}/api/snapshot`, { method: "POST" }).then((r) => r.status),
    );
    // All three that there is no room for: one that comes later would find some.
    await until(() => server.log().split("status=503").length > 3);
    go.resolve();
    const statuses = await Promise.all(requests);
    expect(statuses.filter((status) => status === 503)).toHaveLength(3);
    expect(statuses.filter((status) => status === 500)).toHaveLength(9);
    expect(most).toBe(1);
  });

  test("within a time limit", async () => {
    const silent = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Promise<Response>(() => {}),
    });
    atEnd(() => silent.stop(true));
    const server = await startServer([
      "--prometheus-endpoint",
      String(silent.url),
      "--snapshot-dir",
      tempDir(),
      "--snapshot-timeout",
      "100ms",
    ]);
    const response = await fetch(`${server.url}/api/snapshot`, { method: "POST" });
    expect([response.status, await response.text()]).toEqual([
      500,
      expect.stringContaining("did not finish the snapshot within 100ms"),
    ]);
  });

  const answers: [string, () => Response, string][] = [
    [
      "a page",
      () => new Response("<html>", { headers: { "Content-Type": "text/html" } }),
      "not in Prometheus's form",
    ],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { Location: "/prom/" } }),
      "redirects to /prom/",
    ],
    [
      "agent mode",
      () =>
        Response.json(
          { status: "error", errorType: "execution", error: "unavailable with Prometheus Agent" },
          { status: 422 },
        ),
      "agent mode",
    ],
    [
      "an endless answer",
      () => new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(65536)) })),
      "not in Prometheus's form",
    ],
  ];
  test.each(answers)("%s in answer is told in the operator's terms", async (_, answer, message) => {
    const fake = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
    atEnd(() => fake.stop(true));
    const server = await startServer([
      "--prometheus-endpoint",
      String(fake.url),
      "--snapshot-dir",
      tempDir(),
    ]);
    const response = await fetch(`${server.url}/api/snapshot`, { method: "POST" });
    expect([response.status, await response.text()]).toEqual([
      500,
      expect.stringContaining(message),
    ]);
  });
});

test("autoprune removes old snapshots by itself", async () => {
  const dir = snapshotDir();
  const server = await start(
    dir,
    "--autoprune",
    "--autoprune-interval",
    "1s",
    "--autoprune-keep-within",
    "1h",
  );
  await untilLogged(server, "snapshot pruned");
  expect(readdirSync(dir)).toEqual([]);
});

test("a snapshot directory that can't be written to is a warning", async () => {
  const dir = tempDir();
  chmodSync(dir, 0o555);
  // Root may write anywhere, so the server runs as another user.
  const isRoot = process.geteuid?.() === 0;
  const other = {
    under: isRoot ? AS_ANOTHER : [],
    origin: { directory: await compiledPrograms() },
  };
  const server = await startServer(["--snapshot-dir", dir], other);
  expect(server.log()).toContain("not writable, so pruning won't work");
  chmodSync(dir, 0o700);
});

test("a real Prometheus's snapshot is leased until it was downloaded", async () => {
  const prometheus = await startPrometheus();
  const server = await startServer([
    "--prometheus-endpoint",
    prometheus.url,
    "--snapshot-dir",
    prometheus.snapshotDir,
  ]);
  const created = await fetch(`${server.url}/api/snapshot`, { method: "POST", redirect: "manual" });
  const { name } = JSON.parse(await created.text());
  const early = await fetch(`${server.url}/api/prune`, { method: "POST" });
  expect(await early.json()).toMatchObject({ removed: [] });
  await (await fetch(`${server.url}/api/download?name=${name}`)).bytes();
  const late = await fetch(`${server.url}/api/prune`, { method: "POST" });
  expect(await late.json()).toMatchObject({ removed: [name] });
});

test("a client that leaves the queue makes room for the next", async () => {
  const go = Promise.withResolvers<void>();
  let asked = 0;
  const slow = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: async () => {
      asked++;
      await go.promise;
      return Response.json({ status: "error", error: "tried enough" }, { status: 500 });
    },
  });
  atEnd(() => slow.stop(true));
  const server = await startServer([
    "--prometheus-endpoint",
    String(slow.url),
    "--snapshot-dir",
    tempDir(),
  ]);
  const ask = (signal?: AbortSignal) =>
    fetch(`${server.url}/api/snapshot`, { method: "POST", ...(signal ? { signal } : {}) });
  const first = ask();
  while (asked === 0) await Bun.sleep(5);
  // All that the queue takes leave it again; were their places held, the next would be refused.
  for (let round = 1; round <= 2; round++) {
    const aborter = new AbortController();
    const waiting = Array.from({ length: 9 }, () => ask(aborter.signal));
    // One there is no room for: so the eight others are in the queue.
    const refused = await Promise.race(waiting);
    expect(refused.status).toBe(503);
    aborter.abort();
    const left = (await Promise.allSettled(waiting)).filter(({ status }) => status === "rejected");
    expect(left).toHaveLength(8);
    await until(() => server.log().split("path=/api/snapshot").length > 9 * round);
  }
  const last = ask();
  go.resolve();
  expect([(await first).status, (await last).status]).toEqual([500, 500]);
  expect(asked).toBe(2);
});
