import { describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { cleanEnvironment, commandLine, run, startServer } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

const { dataDir } = await makeBlocks({ hours: 4, series: 200 });
const prometheus = await startPrometheus({ dataDir });
const server = await startServer([
  "--prometheus-endpoint",
  prometheus.url,
  "--snapshot-dir",
  prometheus.snapshotDir,
]);
const env = { PROMBACKUP_ENDPOINT: server.url };

function create(cwd: string, ...args: string[]) {
  return run("prombackup", ["create", ...args], { env, cwd });
}

/** A server before ours that changes what it passes on: for faults that the real one doesn't have. */
function tamper(change: (response: Response, url: URL) => Response | Promise<Response>): string {
  const proxy = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: async (request) => {
      const url = new URL(request.url);
      const upstream = await fetch(server.url + url.pathname + url.search, {
        method: request.method,
        redirect: "manual",
      });
      return change(upstream, url);
    },
  });
  atEnd(() => proxy.stop(true));
  return String(proxy.url);
}

test.each(["tar", "tgz", "tzst"])("a %s is proven, and verify agrees", async (format) => {
  const cwd = tempDir();
  const made = await create(cwd, "--format", format, "--output", "x", "--checksum-file", "--json");
  expect([made.status, made.stderr]).toEqual([0, ""]);
  const result = JSON.parse(made.stdout);
  expect(result).toMatchObject({
    file: join(cwd, "x"),
    format,
    bytes: statSync(join(cwd, "x")).size,
  });
  const sums = Bun.spawn(["sha256sum", "-c", "x.sha256"], { cwd, stdout: "ignore" });
  expect(await sums.exited).toBe(0);
  const verified = await run("prombackup", ["verify", "x", "--json", "--server", server.url], {
    cwd,
  });
  expect([verified.status, verified.stderr]).toEqual([0, ""]);
  const report = JSON.parse(verified.stdout);
  expect(report).toMatchObject({
    ok: true,
    format,
    sha256: result.sha256,
    snapshot: result.snapshot,
  });
  expect(report.compared_with).toHaveLength(2);
  const byId = await run("prombackup", ["verify", "x", "--id", result.download_id], { cwd, env });
  expect(byId.stdout).toContain(
    `compared with the server's record of download ${result.download_id}: equal`,
  );
});

test("standard output carries the archive alone", async () => {
  const cwd = tempDir();
  const child = Bun.spawn(commandLine("prombackup", ["create", "--output", "-"]), {
    env: cleanEnvironment(env),
    cwd,
    stdout: "pipe",
    stderr: "pipe",
  });
  const tar = Bun.spawn(["tar", "tf", "-"], { stdin: child.stdout, stdout: "pipe" });
  expect(await tar.stdout.text()).toMatch(/^\S+\/\n\S+\/01\w+\/\n/);
  expect([await child.exited, await tar.exited]).toEqual([0, 0]);
  expect(readdirSync(cwd)).toEqual([]);
});

test("an existing target keeps its content until the new one is proven, and its mode after", async () => {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x.tar"), "yesterday", { mode: 0o600 });
  const failed = await run(
    "prombackup",
    ["create", "--server", "http://127.0.0.1:1", "--output", "x.tar"],
    { cwd },
  );
  expect(failed.status).toBe(1);
  expect(readFileSync(join(cwd, "x.tar"), "utf8")).toBe("yesterday");
  expect((await create(cwd, "--output", "x.tar")).status).toBe(0);
  expect(statSync(join(cwd, "x.tar")).size).toBeGreaterThan(10_000);
  expect(statSync(join(cwd, "x.tar")).mode & 0o777).toBe(0o600);
  expect(readdirSync(cwd)).toEqual(["x.tar"]);
});

test("a target that is a symbolic link stays one", async () => {
  const cwd = tempDir();
  mkdirSync(join(cwd, "store"));
  writeFileSync(join(cwd, "store", "real.tar"), "yesterday");
  symlinkSync("store/real.tar", join(cwd, "latest.tar"));
  expect((await create(cwd, "--output", "latest.tar")).status).toBe(0);
  expect(statSync(join(cwd, "store", "real.tar")).size).toBeGreaterThan(10_000);
  expect(readdirSync(join(cwd, "store"))).toEqual(["real.tar"]);
});

test("a device gets the bytes as they come", async () => {
  const { status, stderr } = await create(tempDir(), "--output", "/dev/null");
  expect([status, stderr]).toEqual([0, expect.stringContaining("wrote /dev/null")]);
});

test("without --output, an existing file of the server's name is not replaced", async () => {
  const cwd = tempDir();
  const { snapshot } = JSON.parse((await create(cwd, "--json")).stdout);
  const name = `${snapshot}.tar`;
  const fixed = tamper((response, url) =>
    url.pathname === "/api/snapshot" ? Response.json({ name: snapshot }) : response,
  );
  const again = await run("prombackup", ["create", "--server", fixed], { cwd });
  expect([again.status, again.stderr]).toEqual([
    1,
    expect.stringContaining(`${name} exists already`),
  ]);
  expect(readdirSync(cwd)).toEqual([name]);
});

const wrongTargets: [string, string, string][] = [
  ["a directory", ".", "is a directory"],
  ["a directory that isn't there", "nowhere/x.tar", "there is no directory nowhere: make it first"],
];
test.each(wrongTargets)(
  "%s as the target fails before a snapshot is taken",
  async (_, output, message) => {
    const cwd = tempDir();
    const before = readdirSync(prometheus.snapshotDir).length;
    const { status, stderr } = await create(cwd, "--output", output);
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(readdirSync(prometheus.snapshotDir).length).toBe(before);
  },
);

const faults: [string, (response: Response, url: URL) => Response | Promise<Response>, string][] = [
  [
    "a body that ends early, cleanly",
    async (response, url) => {
      if (url.pathname !== "/api/download") return response;
      const half = (await response.bytes()).subarray(0, 20_000);
      return new Response(half, { headers: response.headers });
    },
    "damaged on the way",
  ],
  [
    "a flipped bit",
    async (response, url) => {
      if (url.pathname !== "/api/download") return response;
      const bytes = await response.bytes();
      bytes[5000] = (bytes[5000] ?? 0) ^ 1;
      return new Response(bytes, { headers: response.headers });
    },
    "damaged on the way",
  ],
  [
    "a status that says failed",
    (response, url) =>
      url.pathname === "/api/download_status"
        ? Response.json({
            id: "x",
            snapshot_name: "a-b",
            finished: { success: false, error_text: "disk on fire", sha256_hex: "" },
          })
        : response,
    "disk on fire",
  ],
  [
    "a status that never comes",
    (response, url) =>
      url.pathname === "/api/download_status" ? new Response("no", { status: 502 }) : response,
    "the server answered 502: no",
  ],
  [
    "a status that says running",
    (response, url) =>
      url.pathname === "/api/download_status"
        ? Response.json({ id: "x", snapshot_name: "a-b", finished: null })
        : response,
    "still sending",
  ],
  [
    "no id",
    (response, url) => (url.pathname === "/api/download" ? new Response("x") : response),
    "X-Prombackup-Download-Id",
  ],
  [
    "a hostile snapshot name",
    (response, url) =>
      url.pathname === "/api/snapshot" ? Response.json({ name: "../../etc/passwd" }) : response,
    "doesn't tell the new snapshot's name",
  ],
  [
    "a redirect",
    (response, url) =>
      url.pathname === "/api/snapshot"
        ? new Response(null, { status: 302, headers: { Location: "http://elsewhere/" } })
        : response,
    "redirects to http://elsewhere/",
  ],
  [
    "a page in place of an answer",
    (response, url) =>
      url.pathname === "/api/snapshot" ? new Response("<html>login</html>") : response,
    "isn't JSON",
  ],
];
test.each(faults)("%s: the target stays as it was", async (_, change, message) => {
  const cwd = tempDir();
  writeFileSync(join(cwd, "x.tar"), "yesterday");
  const { status, stdout, stderr } = await run(
    "prombackup",
    ["create", "--server", tamper(change), "--output", "x.tar"],
    { cwd },
  );
  expect([status, stdout, stderr]).toEqual([1, "", expect.stringContaining(message)]);
  expect(readdirSync(cwd)).toEqual(["x.tar"]);
  expect(readFileSync(join(cwd, "x.tar"), "utf8")).toBe("yesterday");
});

test("a file name from the server is a name, never a path", async () => {
  const cwd = tempDir();
  const hostile = tamper(async (response, url) => {
    if (url.pathname !== "/api/download") return response;
    const headers = new Headers(response.headers);
    headers.set("Content-Disposition", 'attachment; filename="../../escaped.tar"');
    return new Response(await response.bytes(), { headers });
  });
  const { status, stderr } = await run("prombackup", ["create", "--server", hostile], { cwd });
  expect([status, stderr]).toEqual([0, expect.stringContaining("wrote")]);
  expect(readdirSync(cwd)).toEqual([expect.stringMatching(/^\w+-\w+\.tar$/)]);
});

/** A server that stops in the middle of the archive, and never goes on. */
function stalling(): { url: string; stalled: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const url = tamper((response, { pathname }) => {
    if (pathname !== "/api/download") return response;
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        controller.enqueue(new Uint8Array(70_000));
        resolve();
        await new Promise(() => {});
      },
    });
    return new Response(body, { headers: { "X-Prombackup-Download-Id": "x" } });
  });
  return { url, stalled: promise };
}

async function untilPartial(cwd: string): Promise<void> {
  while (!readdirSync(cwd).some((name) => name.endsWith(".prombackup-partial"))) await Bun.sleep(5);
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "%s leaves the directory as it was, and the snapshot gone if asked",
  async (signal, expected) => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.tar"), "yesterday");
    const before = readdirSync(prometheus.snapshotDir).sort();
    const { url, stalled } = stalling();
    const args = ["create", "--server", url, "--output", "x.tar", "--remove-snapshot"];
    const child = Bun.spawn(commandLine("prombackup", args), {
      env: cleanEnvironment(),
      cwd,
      stderr: "pipe",
    });
    await stalled;
    await untilPartial(cwd);
    child.kill(signal);
    expect([await child.exited, await child.stderr.text()]).toEqual([
      expected,
      `prombackup: interrupted by ${signal}\n`,
    ]);
    expect(readdirSync(cwd)).toEqual(["x.tar"]);
    expect(readFileSync(join(cwd, "x.tar"), "utf8")).toBe("yesterday");
    expect(readdirSync(prometheus.snapshotDir).sort()).toEqual(before);
  },
);

test.each([["x.tar"], [undefined]])(
  "after a kill -9 one named leftover stays, which the next run removes (output %p)",
  async (output) => {
    const cwd = tempDir();
    const target = output === undefined ? [] : ["--output", output];
    const { url, stalled } = stalling();
    const child = Bun.spawn(commandLine("prombackup", ["create", "--server", url, ...target]), {
      env: cleanEnvironment(),
      cwd,
    });
    await stalled;
    await untilPartial(cwd);
    const second = output === undefined ? undefined : await create(cwd, ...target);
    if (second)
      expect([second.status, second.stderr]).toEqual([
        1,
        expect.stringContaining("another prombackup is writing x.tar"),
      ]);
    child.kill("SIGKILL");
    await child.exited;
    expect(readdirSync(cwd)).toEqual([expect.stringMatching(/\.prombackup-partial$/)]);
    expect((await create(cwd, ...target)).status).toBe(0);
    expect(readdirSync(cwd)).toEqual([expect.stringMatching(/\.tar$/)]);
  },
);

test("--remove-snapshot removes it from the server after success", async () => {
  const { stdout } = await create(
    tempDir(),
    "--remove-snapshot",
    "--json",
    "--output",
    "/dev/null",
  );
  const { snapshot, snapshot_removed } = JSON.parse(stdout);
  expect(snapshot_removed).toBeTrue();
  expect(readdirSync(prometheus.snapshotDir)).not.toContain(snapshot);
});

test("without a server the same is done in-process, and the snapshot is gone afterwards", async () => {
  const cwd = tempDir();
  const local = ["--snapshot-dir", prometheus.snapshotDir, "--prometheus-endpoint", prometheus.url];
  const before = readdirSync(prometheus.snapshotDir).sort();
  for (const format of ["tar", "tgz", "tzst"]) {
    const made = await run(
      "prombackup",
      ["create", ...local, "--format", format, "--output", format],
      { cwd },
    );
    expect([made.status, made.stderr]).toEqual([0, expect.stringContaining("wrote")]);
    expect((await run("prombackup", ["verify", format], { cwd })).status).toBe(0);
  }
  expect(readdirSync(prometheus.snapshotDir).sort()).toEqual(before);
  const kept = await run(
    "prombackup",
    ["create", ...local, "--remove-snapshot=false", "--output", "/dev/null", "--json"],
    { cwd },
  );
  const { snapshot } = JSON.parse(kept.stdout);
  const listed = await run("prombackup", ["list", ...local, "--json"], { cwd });
  expect(JSON.parse(listed.stdout).map((s: { name: string }) => s.name)).toContain(snapshot);
  const pruned = await run("prombackup", ["prune", ...local, "--keep-within", "0", "--json"], {
    cwd,
  });
  expect(JSON.parse(pruned.stdout).removed).toContain(snapshot);
});

test("prune by the command line respects a download that another process sends", async () => {
  const response = await fetch(`${server.url}/api/snapshot`, {
    method: "POST",
    redirect: "manual",
  });
  const { name } = JSON.parse(await response.text());
  const local = ["--snapshot-dir", prometheus.snapshotDir];
  const pruned = await run("prombackup", ["prune", ...local, "--keep-within", "0", "--json"]);
  expect(JSON.parse(pruned.stdout).kept).toContainEqual({
    name,
    reason: expect.stringContaining("in use"),
  });
  expect(readdirSync(prometheus.snapshotDir)).toContain(name);
});

test("list shows the snapshots as a table, newest first", async () => {
  const { snapshot } = JSON.parse(
    (await create(tempDir(), "--json", "--output", "/dev/null")).stdout,
  );
  const { status, stdout, stderr } = await run("prombackup", ["list"], { env });
  expect([status, stderr]).toEqual([0, ""]);
  const [head = "", ...rows] = stdout.trimEnd().split("\n");
  expect(head).toMatch(/^SNAPSHOT +BLOCKS +SIZE +FROM +TO +IN USE +CONFIRMED$/);
  const times = rows.map((row) => row.slice(0, 16));
  expect(times).toEqual(times.toSorted().reverse());
  expect(rows.some((row) => row.startsWith(`${snapshot}  `))).toBeTrue();
});

test("on a terminal a progress line is drawn and taken away, elsewhere there is none", async () => {
  const body = new Uint8Array(400_000).fill(1);
  const line = /\rESC\[K[\d.]+ KiB {2}[\d.]+ KiB\/s {2}\d+% {2}\d+s left/;
  let drawn = "";
  const slow = tamper((response, { pathname }) => {
    if (pathname === "/api/download_status") {
      const finished = {
        success: true,
        error_text: null,
        sha256_hex: Bun.SHA256.hash(body, "hex"),
      };
      return Response.json({ id: "x", snapshot_name: "a-b", finished });
    }
    if (pathname !== "/api/download") return response;
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await Bun.sleep(20);
        if (sent === body.length) return controller.close();
        // The second half comes byte by byte until the line is there, whenever that is.
        const most = sent < body.length / 2 || line.test(drawn) ? 10_000 : 1;
        const piece = body.slice(sent, sent + most);
        sent += piece.length;
        controller.enqueue(piece);
      },
    });
    return new Response(stream, {
      headers: {
        "X-Prombackup-Download-Id": "x",
        "X-Prombackup-Archive-Size": String(body.length),
      },
    });
  });
  const args = ["create", "--server", slow, "--output", "/dev/null"];
  const command = commandLine("prombackup", args).join(" ");
  const terminal = Bun.spawn(["script", "-qec", command, "/dev/null"], {
    env: cleanEnvironment({ TERM: "xterm" }),
    stdin: null,
    stdout: "pipe",
  });
  for await (const piece of terminal.stdout) {
    drawn += Buffer.from(piece).toString().replaceAll("\u001b", "ESC");
  }
  expect(drawn).toMatch(line);
  expect(drawn).toMatch(/\rESC\[Kprombackup: wrote \/dev\/null/);
  const piped = await run("prombackup", args);
  expect(piped.stderr).toMatch(/^prombackup: wrote [^\n]+\n$/);
});

describe("the checksum file", () => {
  const name = "odd\\ name\nof two lines.tar";

  function check(cwd: string): number {
    return Bun.spawnSync(["sha256sum", "-c", "--status", `${name}.sha256`], { cwd }).exitCode;
  }

  test("is one that sha256sum and verify read, whatever the archive's name", async () => {
    const cwd = tempDir();
    const made = await create(cwd, "--output", name, "--checksum-file");
    expect([made.status, check(cwd)]).toEqual([0, 0]);
    const verified = await run("prombackup", ["verify", name], { cwd });
    expect([verified.status, verified.stdout]).toEqual([
      0,
      expect.stringContaining(`${name}.sha256: equal`),
    ]);
  });

  test("is renewed with the archive, asked for or not", async () => {
    const cwd = tempDir();
    await create(cwd, "--output", name, "--checksum-file");
    const before = readFileSync(join(cwd, `${name}.sha256`), "utf8");
    expect((await create(cwd, "--output", name)).status).toBe(0);
    expect(readFileSync(join(cwd, `${name}.sha256`), "utf8")).not.toBe(before);
    expect(check(cwd)).toBe(0);
  });

  test("is read and renewed in the form of sha256sum --tag, too", async () => {
    const cwd = tempDir();
    await create(cwd, "--output", name);
    const tagged = Bun.spawnSync(["sha256sum", "--tag", name], { cwd }).stdout.toString();
    writeFileSync(join(cwd, `${name}.sha256`), tagged);
    const verified = await run("prombackup", ["verify", name], { cwd });
    expect([verified.status, verified.stdout]).toEqual([
      0,
      expect.stringContaining(`${name}.sha256: equal`),
    ]);
    expect((await create(cwd, "--output", name)).status).toBe(0);
    expect(readFileSync(join(cwd, `${name}.sha256`), "utf8")).toMatch(/^\\?[0-9a-f]{64} {2}/);
    expect(check(cwd)).toBe(0);
  });

  test("is left alone, unless asked for, if it is something else", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.sha256"), "notes\n");
    expect((await create(cwd, "--output", "x")).status).toBe(0);
    expect(readFileSync(join(cwd, "x.sha256"), "utf8")).toBe("notes\n");
    expect((await create(cwd, "--output", "x", "--checksum-file")).status).toBe(0);
    expect(readFileSync(join(cwd, "x.sha256"), "utf8")).toMatch(/^[0-9a-f]{64} {2}x\n$/);
  });

  const impossible: [string, string, (cwd: string) => unknown, number, string][] = [
    ["a directory", "x", (cwd) => mkdirSync(join(cwd, "x.sha256")), 1, "is a directory"],
    ["a name too long", "x".repeat(230), () => {}, 1, "the name is too long; 236 bytes"],
    ["one of a pipe", "x", (cwd) => Bun.$`mkfifo ${join(cwd, "x")}`, 2, "a pipe or a device"],
    ["one of a device", "/dev/null", () => {}, 2, "a pipe or a device"],
  ];
  test.each(impossible)(
    "that can't be, %s, is told ahead",
    async (_, output, make, expected, message) => {
      const cwd = tempDir();
      await make(cwd);
      const before = await snapshots();
      const { status, stderr } = await create(cwd, "--output", output, "--checksum-file");
      expect([status, stderr]).toEqual([expected, expect.stringContaining(message)]);
      expect(await snapshots()).toEqual(before);
    },
  );

  test("that turns out to be in the way leaves everything as it was", async () => {
    const cwd = tempDir();
    const blocking = tamper(async (response, url) => {
      if (url.pathname === "/api/download_status") mkdirSync(join(cwd, "x.sha256"));
      return response;
    });
    const { status, stderr } = await run(
      "prombackup",
      ["create", "--server", blocking, "--output", "x", "--checksum-file"],
      { cwd },
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining("x.sha256")]);
    expect(readdirSync(cwd)).toEqual(["x.sha256"]);
  });
});

async function snapshots(): Promise<string[]> {
  const { stdout } = await run("prombackup", ["list", "--json"], { env });
  return JSON.parse(stdout).map(({ name }: { name: string }) => name);
}

test("what keeps the target from being opened ends the download, and the snapshot goes", async () => {
  const cwd = tempDir();
  const before = await snapshots();
  const blocking = tamper((response, url) => {
    if (url.pathname === "/api/download") {
      const name = url.searchParams.get("name");
      writeFileSync(join(cwd, `${name}.tar`), "somebody else's");
    }
    return response;
  });
  const { status, stderr } = await run(
    "prombackup",
    ["create", "--server", blocking, "--remove-snapshot"],
    { cwd },
  );
  expect([status, stderr]).toEqual([1, expect.stringMatching(/exists already: [^\n]*\n$/)]);
  expect(await snapshots()).toEqual(before);
});

test("a current directory that can't be written to is told ahead", async () => {
  const before = await snapshots();
  // Where root can't make a file either.
  const { status, stderr } = await create("/proc");
  expect([status, stderr]).toEqual([
    1,
    expect.stringContaining("can't write to the current directory"),
  ]);
  expect(await snapshots()).toEqual(before);
});

const oddLinks: [string, string, string][] = [
  ["a link to nothing", "nowhere/at/all", "leads to nothing"],
  ["a link to itself", "x", "leads to itself"],
];
test.each(oddLinks)("%s is told", async (_, to, message) => {
  const cwd = tempDir();
  symlinkSync(to, join(cwd, "x"));
  const { status, stderr } = await create(cwd, "--output", "x");
  expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
});

test("a name too long for the unfinished file is told", async () => {
  const { status, stderr } = await create(tempDir(), "--output", "x".repeat(245));
  expect([status, stderr]).toEqual([
    1,
    expect.stringContaining("too long; 236 bytes are the most"),
  ]);
});

test("--server and --snapshot-dir exclude each other; of the environment, the flag wins", async () => {
  const both = await run("prombackup", ["list", "--server", server.url, "--snapshot-dir", "x"]);
  expect([both.status, both.stderr]).toEqual([
    2,
    expect.stringContaining("--server and --snapshot-dir exclude each other"),
  ]);
  const dir = prometheus.snapshotDir;
  const one = await run("prombackup", ["list", "--snapshot-dir", dir], {
    env: { PROMBACKUP_ENDPOINT: "http://127.0.0.1:1" },
  });
  expect([one.status, one.stderr]).toEqual([0, ""]);
});

test.each([[["list"]], [["prune", "--keep-within", "0"]]])(
  "without a server, %p warns of a snapshot directory that isn't there, and takes no data directory",
  async (args) => {
    const dir = tempDir();
    const missing = await run("prombackup", [...args, "--snapshot-dir", join(dir, "typo")]);
    expect([missing.status, missing.stderr]).toEqual([
      0,
      expect.stringContaining("the snapshot directory doesn't exist yet"),
    ]);
    mkdirSync(join(dir, "wal"));
    const data = await run("prombackup", [...args, "--snapshot-dir", dir]);
    expect([data.status, data.stderr]).toEqual([
      1,
      expect.stringContaining("is Prometheus's data directory: its subdirectory snapshots"),
    ]);
  },
);

test("without a server, no server is spoken of", async () => {
  const { status, stderr } = await run("prombackup", [
    "create",
    "--snapshot-dir",
    prometheus.snapshotDir,
    "--prometheus-endpoint",
    "http://127.0.0.1:1",
    "--output",
    join(tempDir(), "x"),
  ]);
  expect([status, stderr]).toEqual([
    1,
    "prombackup: Creating snapshot failed: can't reach Prometheus at http://127.0.0.1:1/: nothing listens there: is Prometheus running, and is --prometheus-endpoint right?\n",
  ]);
});

test("a named pipe's reader gets the whole archive", async () => {
  const cwd = tempDir();
  expect(await Bun.spawn(["mkfifo", "pipe"], { cwd }).exited).toBe(0);
  const reader = Bun.spawn(["tar", "tBf", "pipe"], { cwd, stdout: "pipe" });
  const { status, stderr } = await create(cwd, "--output", "pipe");
  expect([status, stderr]).toEqual([0, expect.stringContaining("wrote")]);
  expect(await reader.stdout.text()).toContain("/meta.json\n");
  expect(await reader.exited).toBe(0);
});

test("a full disk is told, and the old file is intact", async () => {
  const { status, stderr } = await create(tempDir(), "--output", "/dev/full");
  expect([status, stderr]).toEqual([1, expect.stringContaining("ENOSPC")]);
});

test("a snapshot without any block is warned of, once", async () => {
  // Without a head, a new Prometheus has no data.
  const empty = await startPrometheus();
  const local = ["--snapshot-dir", empty.snapshotDir, "--prometheus-endpoint", empty.url];
  const cwd = tempDir();
  for (const flags of [[], ["--json"], ["--format", "tgz"], ["--format", "tzst"], ["--verify"]]) {
    const args = ["create", ...local, "--skip-head", "--output", "x", ...flags];
    const { status, stderr } = await run("prombackup", args, { cwd });
    expect([status, stderr.match(/ has no block: Prometheus had no data/g)]).toEqual([
      0,
      [expect.anything()],
    ]);
  }
  const { stderr } = await create(cwd, "--output", "y");
  expect(stderr).not.toContain("has no block");
});

describe("create --verify", () => {
  test.each(["tar", "tgz", "tzst"])("tells that the blocks of a %s are good", async (format) => {
    const cwd = tempDir();
    const args = ["--verify", "--format", format, "--output", "x"];
    const { status, stderr } = await create(cwd, ...args);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/, [1-9] blocks verified\n$/)]);
    const { stdout } = await create(cwd, ...args, "--json");
    expect(JSON.parse(stdout).verified).toEqual({
      blocks: expect.any(Number),
      errors: [],
      warnings: [],
    });
  });

  test("to standard output passes the bytes on while it checks", async () => {
    const child = Bun.spawn(commandLine("prombackup", ["create", "--verify", "--output", "-"]), {
      env: cleanEnvironment(env),
      stdout: "pipe",
      stderr: "pipe",
    });
    const tar = Bun.spawn(["tar", "tf", "-"], { stdin: child.stdout, stdout: "ignore" });
    expect([await child.exited, await tar.exited]).toEqual([0, 0]);
    expect(await child.stderr.text()).toContain("blocks verified");
  });

  test("leaves the target as it was if a block is damaged", async () => {
    const directory = tempDir();
    const damaged = await startPrometheus({
      dataDir: (await makeBlocks({ hours: 2, series: 5, dataDir: directory })).dataDir,
    });
    const [block = ""] = readdirSync(directory).filter((name) => name.length === 26);
    const segment = join(directory, block, "chunks", "000001");
    const bytes = readFileSync(segment);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    // In place: Prometheus has it mapped, and a file that is short for a moment could end it.
    writeFileSync(segment, bytes, { flag: "r+" });
    const cwd = tempDir();
    writeFileSync(join(cwd, "x.tar"), "yesterday");
    const { status, stdout, stderr } = await run(
      "prombackup",
      [
        ...["create", "--verify", "--json", "--output", "x.tar"],
        ...["--snapshot-dir", damaged.snapshotDir, "--prometheus-endpoint", damaged.url],
      ],
      { cwd },
    );
    const place = `block ${block}, chunks/000001, offset \\d+: .*queries fail`;
    expect([status, stderr]).toEqual([
      3,
      expect.stringMatching(new RegExp(`not a good backup: ${place}`)),
    ]);
    expect(JSON.parse(stdout)).toEqual({
      snapshot: expect.stringMatching(/^\d{8}T\d{6}Z-/),
      error: stderr.trimEnd().split("\n").at(-1)?.slice("prombackup: ".length),
      verified: {
        blocks: 2,
        errors: [expect.stringMatching(new RegExp(`^${place}`))],
        warnings: [],
      },
    });
    expect(readFileSync(join(cwd, "x.tar"), "utf8")).toBe("yesterday");
    expect(readdirSync(cwd)).toEqual(["x.tar"]);
    expect(readdirSync(damaged.snapshotDir)).toEqual([]);
  });

  test("of what is no archive at all is told once it has arrived", async () => {
    const body = Buffer.from("<!doctype html>".repeat(1000));
    const page = tamper((response, { pathname }) => {
      if (pathname === "/api/download_status") {
        const sha256_hex = Bun.SHA256.hash(body, "hex");
        const finished = { success: true, error_text: null, sha256_hex };
        return Response.json({ id: "x", snapshot_name: "a-b", finished });
      }
      if (pathname !== "/api/download") return response;
      return new Response(body, { headers: { "X-Prombackup-Download-Id": "x" } });
    });
    const cwd = tempDir();
    const { status, stdout, stderr } = await run(
      "prombackup",
      ["create", "--verify", "--server", page, "--output", "x", "--json"],
      { cwd },
    );
    expect([status, stderr]).toEqual([3, expect.stringMatching(/^prombackup: [^\n]*\n$/)]);
    expect(JSON.parse(stdout)).toMatchObject({
      error: expect.stringContaining("not an archive"),
      verified: null,
    });
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe("what is open already is written to, not replaced", () => {
  const ways: [string, string][] = [
    ["/dev/stdout of a pipe", "--output /dev/stdout | cat > got"],
    ["a process substitution", "--output >(cat > got); while [ ! -s got ]; do sleep 0.01; done"],
    ["/dev/fd/3 of a file", "--output /dev/fd/3 3> got"],
  ];
  test.each(ways)("%s", async (_, words) => {
    const cwd = tempDir();
    const command = commandLine("prombackup", ["create"]).join(" ");
    const child = Bun.spawn(["bash", "-c", `${command} ${words}`], {
      env: cleanEnvironment(env),
      cwd,
      stderr: "pipe",
    });
    expect([await child.exited, await child.stderr.text()]).toEqual([
      0,
      expect.stringContaining("wrote /dev/"),
    ]);
    expect(readdirSync(cwd)).toEqual(["got"]);
    const verified = await run("prombackup", ["verify", join(cwd, "got")]);
    expect([verified.status, verified.stderr]).toEqual([0, ""]);
  });
});

test("a pipe whose reader waits keeps no signal out", async () => {
  const cwd = tempDir();
  await Bun.$`mkfifo ${join(cwd, "pipe")}`;
  // Takes a little, and keeps the pipe open.
  const reader = Bun.spawn(["sh", "-c", "exec < pipe; head -c 1; exec sleep 600"], {
    cwd,
    stdout: "pipe",
  });
  atEnd(() => reader.kill("SIGKILL"));
  const child = Bun.spawn(commandLine("prombackup", ["create", "--output", "pipe"]), {
    env: cleanEnvironment(env),
    cwd,
    stderr: "pipe",
  });
  // The pipe holds 64 KiB, and the archive is larger.
  await reader.stdout.getReader().read();
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
});

describe("a hangup", () => {
  /** Starts a create that takes its time, and tells when its unfinished file is there. */
  async function slowCreate(cwd: string, before: string[]) {
    const slow = tamper((response, { pathname }) => {
      if (pathname !== "/api/download") return response;
      const headers = { "X-Prombackup-Download-Id": "x" };
      const begin = new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(10)) });
      return new Response(begin, { headers });
    });
    const args = ["create", "--server", slow, "--output", "x", "--remove-snapshot"];
    const child = Bun.spawn([...before, ...commandLine("prombackup", args)], {
      env: cleanEnvironment(),
      cwd,
      stdout: "ignore",
      stderr: "ignore",
    });
    while (!readdirSync(cwd).includes("x.prombackup-partial")) await Bun.sleep(5);
    return child;
  }

  test("leaves nothing behind", async () => {
    const cwd = tempDir();
    const before = await snapshots();
    // Whoever runs the tests may have it ignored.
    const child = await slowCreate(cwd, ["env", "--default-signal=HUP"]);
    child.kill("SIGHUP");
    expect(await child.exited).toBe(129);
    expect(readdirSync(cwd)).toEqual([]);
    expect(await snapshots()).toEqual(before);
  });

  test("is ignored under nohup", async () => {
    const cwd = tempDir();
    const child = await slowCreate(cwd, ["nohup"]);
    child.kill("SIGHUP");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(143);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe("output that can't be written", () => {
  const cases: [string, string, number, string][] = [
    ["messages to a full disk", "list --nope 2>/dev/full", 2, ""],
    ["messages to nobody", "create --output x 2>&1 >/dev/null | true", 0, ""],
    ["data to a full disk", "list >/dev/full", 1, "can't write to standard output: ENOSPC"],
  ];
  test.each(cases)("%s", async (_, words, status, message) => {
    const command = commandLine("prombackup", []).join(" ");
    const child = Bun.spawn(["bash", "-o", "pipefail", "-c", `${command} ${words}`], {
      env: cleanEnvironment(env),
      cwd: tempDir(),
      stdout: "ignore",
      stderr: "pipe",
    });
    expect([await child.exited, await child.stderr.text()]).toEqual([
      status,
      expect.stringContaining(message),
    ]);
  });
});

test("what is on this machine is asked without a proxy", async () => {
  let asked = 0;
  const proxy = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => {
      asked++;
      return new Response("of the proxy", { status: 503 });
    },
  });
  atEnd(() => proxy.stop(true));
  const settings = { http_proxy: String(proxy.url), HTTP_PROXY: String(proxy.url) };
  const local = ["--snapshot-dir", prometheus.snapshotDir, "--prometheus-endpoint", prometheus.url];
  const cwd = tempDir();
  for (const args of [
    ["list"],
    ["create", "--output", "x"],
    ["create", ...local, "--output", "x"],
  ]) {
    const set = args.includes("--snapshot-dir") ? settings : { ...settings, ...env };
    const { status } = await run("prombackup", args, { env: set, cwd });
    expect([args, status]).toEqual([args, 0]);
  }
  expect(asked).toBe(0);
  const elsewhere = ["list", "--server", "http://prometheus.example:8080"];
  const { stderr } = await run("prombackup", elsewhere, { env: settings });
  expect(stderr).toContain("of the proxy");
});

test("a proxy that can't be reached is named among what may be at fault", async () => {
  const elsewhere = ["list", "--server", "http://prometheus.example:8080"];
  for (const [proxy, reason] of [
    ["http://127.0.0.1:1", "nothing listens there, or at the proxy that http_proxy names"],
    [
      "http://proxy.invalid",
      "the host name, or that of the proxy in http_proxy, can't be resolved",
    ],
  ] as const) {
    const { stderr } = await run("prombackup", elsewhere, { env: { http_proxy: proxy } });
    expect(stderr).toContain(`: ${reason}: is prombackup-server running there?`);
  }
});
