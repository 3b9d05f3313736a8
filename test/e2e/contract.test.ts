import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { atEnd } from "../support/at-end.ts";
import {
  cleanEnvironment,
  commandLine,
  type RunningServer,
  run,
  startServer,
} from "../support/programs.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";

// Each row of each table in docs/contract.md is run as it stands; a row without a test fails, and so
// does a test whose row is gone.

const document = readFileSync(join(import.meta.dir, "..", "..", "docs", "contract.md"), "utf8");

/** The first cells of the table below a heading, as they stand. */
function rows(heading: string): string[] {
  const section = document.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => (line.split("|")[1] ?? "").trim());
}

type Rows = Record<string, () => Promise<void>>;

function table(heading: string, tests: Rows): void {
  describe(heading, () => {
    test("every row has a test, and every test a row", () => {
      expect(Object.keys(tests).sort()).toEqual(rows(heading).sort());
    });
    for (const [row, body] of Object.entries(tests)) test(row, body);
  });
}

const prometheus = await startPrometheus();
const server = await startServer([
  "--prometheus-endpoint",
  prometheus.url,
  "--snapshot-dir",
  prometheus.snapshotDir,
]);

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.url}${path}`, { redirect: "manual", ...init });
}

async function createSnapshot(path = "/api/snapshot"): Promise<string> {
  const response = await ask(path, { method: "POST" });
  expect(response.status).toBe(303);
  return JSON.parse(await response.text()).name;
}

async function expectError(response: Response, status: number, ...parts: string[]): Promise<void> {
  const body = await response.text();
  for (const part of parts) expect(body).toContain(part);
  expect(body).toMatch(/^[^\n]+\n$/);
  expect(response.status).toBe(status);
  expect(response.headers.get("Content-Type")).toBe("text/plain; charset=utf-8");
  expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
}

async function expectMethods(path: string, allowed: string): Promise<void> {
  const options = await ask(path, { method: "OPTIONS" });
  expect([options.status, await options.text()]).toEqual([200, ""]);
  expect(options.headers.get("Access-Control-Allow-Methods")).toBe(`${allowed},OPTIONS`);
  for (const method of ["GET", "POST", "DELETE", "PUT", "HEAD"].filter((m) => m !== allowed)) {
    const refused = await ask(path, { method });
    expect([method, refused.status]).toEqual([method, 405]);
    if (method !== "HEAD") expect(await refused.text()).toContain("Method Not Allowed");
  }
}

async function json(response: Response): Promise<Record<string, unknown>> {
  expect(response.headers.get("Content-Type")).toBe("application/json; charset=utf-8");
  const text = await response.text();
  const value = JSON.parse(text);
  expect(text).toBe(`${JSON.stringify(value, null, 2)}\n`);
  return value;
}

table("Routes", {
  "`GET /`": async () => {
    const response = await ask("/");
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toStartWith("text/html");
    expect(await response.text()).toContain('action="./api/snapshot"');
    for (const method of ["HEAD", "OPTIONS", "POST"])
      expect((await ask("/", { method })).status).toBe(405);
  },
  "`GET /metrics`": async () => {
    for (const method of ["GET", "POST", "PUT"]) {
      const text = await (await ask("/metrics", { method })).text();
      expect(text).toMatch(/^prombackup_server_download_tracked_count \d+$/m);
      expect(text).toMatch(/^prombackup_server_build_info\{.*\} 1$/m);
      expect(text).toMatch(/^process_start_time_seconds \d/m);
    }
    const promtool = findPrometheus("promtool") ?? "promtool";
    const check = Bun.spawn([promtool, "check", "metrics"], {
      stdin: await ask("/metrics"),
      stderr: "pipe",
    });
    // The Go program's name for it, which promtool doesn't like, is part of the contract.
    const complaints = (await check.stderr.text()).trim().split("\n");
    expect(complaints).toEqual([
      expect.stringContaining("prombackup_server_download_tracked_count"),
    ]);
  },
  "`POST /api/snapshot`": async () => {
    const plain = await ask("/api/snapshot", { method: "POST" });
    const { name } = await json(plain);
    expect(name).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{16}$/);
    expect([plain.status, plain.headers.get("Location")]).toEqual([303, `./download?name=${name}`]);
    const form = new URLSearchParams({ skip_head: "true", download_format: "tgz" });
    const withForm = await ask("/api/snapshot", { method: "POST", body: form });
    const second = (await json(withForm))["name"];
    expect(withForm.headers.get("Location")).toBe(`./download?format=tgz&name=${second}`);
    expect(readdirSync(prometheus.snapshotDir)).toContain(String(second));
    await expectMethods("/api/snapshot", "POST");
  },
  "`GET /api/download`": async () => {
    const name = await createSnapshot();
    for (const [format, extension, type] of [
      ["tar", "tar", "application/x-tar"],
      ["tgz", "tar.gz", "application/gzip"],
      ["tzst", "tar.zst", "application/zstd"],
    ] as const) {
      const response = await ask(`/api/download?name=${name}&format=${format}`);
      expect(response.status).toBe(200);
      expect(response.headers.get("Content-Type")).toBe(type);
      expect(response.headers.get("Content-Disposition")).toBe(
        `attachment; filename=${name}.${extension}`,
      );
      expect(response.headers.get("X-Prombackup-Download-Id")).toMatch(/^\d{14}_[0-9a-f]+$/);
      const body = await response.bytes();
      const size = Number(response.headers.get("X-Prombackup-Content-Size"));
      if (format === "tar") {
        expect(body.byteLength).toBe(size);
        expect(response.headers.get("X-Prombackup-Archive-Size")).toBe(String(size));
      }
    }
    await expectMethods("/api/download", "GET");
  },
  "`GET /api/download_status`": async () => {
    const name = await createSnapshot();
    const download = await ask(`/api/download?name=${name}`);
    const id = download.headers.get("X-Prombackup-Download-Id");
    const sha256 = Bun.SHA256.hash(await download.bytes(), "hex");
    const status = await json(await ask(`/api/download_status?id=${id}`));
    expect(status).toEqual({
      id,
      snapshot_name: name,
      finished: { success: true, error_text: null, sha256_hex: sha256 },
    });
    await expectMethods("/api/download_status", "GET");
  },
  "`POST /api/prune`": async () => {
    const name = await createSnapshot();
    await (await ask(`/api/download?name=${name}`)).bytes();
    const kept = await json(await ask("/api/prune?keep_within=24h", { method: "POST" }));
    expect(kept["removed"]).toEqual([]);
    const body = new URLSearchParams({ keep_within: "0" });
    const removed = await json(await ask("/api/prune", { method: "POST", body }));
    expect(removed["removed"]).toContain(name);
    expect(readdirSync(prometheus.snapshotDir)).not.toContain(name);
    expect((await ask("/api/prune", { method: "POST" })).status).toBe(200);
    await expectMethods("/api/prune", "POST");
  },
  "`GET /api/snapshots`": async () => {
    const name = await createSnapshot();
    const { snapshots } = await json(await ask("/api/snapshots"));
    expect(snapshots).toBeArray();
    if (!Array.isArray(snapshots)) return;
    expect(snapshots).toContainEqual(expect.objectContaining({ name, in_use: true }));
    expect(Object.keys(snapshots[0])).toEqual([
      "name",
      "time",
      "blocks",
      "bytes",
      "min_time",
      "max_time",
      "in_use",
      "confirmed",
    ]);
    await expectMethods("/api/snapshots", "GET");
  },
  "`DELETE /api/snapshots/NAME`": async () => {
    const name = await createSnapshot();
    expect((await ask(`/api/snapshots/${name}`, { method: "DELETE" })).status).toBe(200);
    expect(readdirSync(prometheus.snapshotDir)).not.toContain(name);
    await expectError(
      await ask(`/api/snapshots/${name}`, { method: "DELETE" }),
      404,
      "snapshot not found",
    );
    await expectError(
      await ask("/api/snapshots/..%2Fdata", { method: "DELETE" }),
      400,
      "invalid snapshot name",
    );
    await expectMethods(`/api/snapshots/${name}`, "DELETE");
  },
  "`GET /api/downloads`": async () => {
    const { downloads } = await json(await ask("/api/downloads"));
    expect(downloads).toBeArray();
    await expectMethods("/api/downloads", "GET");
  },
  "`GET /-/healthy`": async () => {
    expect((await ask("/-/healthy")).status).toBe(200);
    expect((await ask("/-/healthy", { method: "HEAD" })).status).toBe(200);
  },
  "`GET /-/ready`": async () => {
    expect((await ask("/-/ready")).status).toBe(200);
    expect((await ask("/-/ready", { method: "HEAD" })).status).toBe(200);
    const lonely = await startServer([
      "--prometheus-endpoint",
      "http://127.0.0.1:1",
      "--snapshot-dir",
      tempDir(),
    ]);
    const response = await fetch(`${lonely.url}/-/ready`);
    expect([response.status, await response.text()]).toEqual([
      503,
      expect.stringContaining("is Prometheus running"),
    ]);
    await expectError(await ask("/nonsense"), 404, "404 page not found");
  },
});

/** A server whose Prometheus answers as told: for what the real one never says. */
async function serverWithAnswer(answer: () => Response): Promise<RunningServer> {
  const fake = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  atEnd(() => fake.stop(true));
  return startServer(["--prometheus-endpoint", String(fake.url), "--snapshot-dir", tempDir()]);
}

function success(name: string): Response {
  return Response.json({ status: "success", data: { name } });
}

table("Errors", {
  "snapshot, `skip_head=xx`": async () =>
    expectError(
      await ask("/api/snapshot?skip_head=xx", { method: "POST" }),
      400,
      "Parsing skip_head:",
      'parsing "xx": invalid syntax',
    ),
  "snapshot, `download_format=zip`": async () =>
    expectError(
      await ask("/api/snapshot?download_format=zip", { method: "POST" }),
      400,
      "unknown archive format: zip",
    ),
  "snapshot, Prometheus refuses": async () => {
    const closed = await startPrometheus({ adminApi: false });
    const ours = await startServer([
      "--prometheus-endpoint",
      closed.url,
      "--snapshot-dir",
      closed.snapshotDir,
    ]);
    const response = await fetch(`${ours.url}/api/snapshot`, { method: "POST" });
    await expectError(
      response,
      500,
      "Creating snapshot failed:",
      "admin APIs disabled",
      "--web.enable-admin-api",
    );
  },
  "snapshot, Prometheus can't be reached": async () => {
    const lonely = await startServer([
      "--prometheus-endpoint",
      "http://127.0.0.1:1",
      "--snapshot-dir",
      tempDir(),
    ]);
    const response = await fetch(`${lonely.url}/api/snapshot`, { method: "POST" });
    await expectError(response, 500, "Creating snapshot failed:", "is Prometheus running");
  },
  "snapshot, Prometheus tells a malformed name": async () => {
    const ours = await serverWithAnswer(() => success("../../etc"));
    const response = await fetch(`${ours.url}/api/snapshot`, { method: "POST" });
    await expectError(response, 500, 'invalid snapshot name: "../../etc"');
  },
  "snapshot, the directory doesn't hold it": async () => {
    const ours = await serverWithAnswer(() => success("20260101T000000Z-0123456789abcdef"));
    const response = await fetch(`${ours.url}/api/snapshot`, { method: "POST" });
    await expectError(response, 500, "Creating snapshot failed:", "doesn't hold it");
  },
  "download, no name": async () =>
    expectError(await ask("/api/download"), 404, "Snapshot name is required"),
  "download, `name=../etc`": async () =>
    expectError(await ask("/api/download?name=../etc"), 400, 'invalid snapshot name: "../etc"'),
  "download, `name=aaa-bbb`": async () =>
    expectError(await ask("/api/download?name=aaa-bbb"), 404, "snapshot not found: aaa-bbb"),
  "download, `name` of a file": async () => {
    mkdirSync(prometheus.snapshotDir, { recursive: true });
    writeFileSync(join(prometheus.snapshotDir, "plain-file"), "");
    await expectError(
      await ask("/api/download?name=plain-file"),
      404,
      "snapshot invalid: plain-file",
    );
  },
  "download, `format=zip`": async () =>
    expectError(
      await ask("/api/download?name=aaa-bbb&format=zip"),
      400,
      "unknown archive format: zip",
    ),
  "download_status, no id": async () =>
    expectError(await ask("/api/download_status"), 404, "Download ID is required"),
  "download_status, `id=xyz`": async () =>
    expectError(await ask("/api/download_status?id=xyz"), 404, "Download xyz not found"),
  "prune, `keep_within=abc`": async () =>
    expectError(
      await ask("/api/prune?keep_within=abc", { method: "POST" }),
      400,
      "Parsing keep_within:",
      'invalid duration "abc"',
    ),
  "prune, `keep_within=-1h`": async () =>
    expectError(
      await ask("/api/prune?keep_within=-1h", { method: "POST" }),
      400,
      "KeepWithin must be larger than or equal to zero",
    ),
  "prune, `keep_within=`, or given twice": async () => {
    for (const query of ["keep_within=", "keep_within=1h&keep_within=2h"]) {
      const response = await ask(`/api/prune?${query}`, { method: "POST" });
      await expectError(response, 400, "Parsing keep_within:", "invalid duration");
    }
    const body = new URLSearchParams({ keep_within: "0" });
    const response = await ask("/api/prune?keep_within=1h", { method: "POST", body });
    await expectError(response, 400, 'Parsing keep_within: invalid duration "0,1h"');
  },
  "prune, `keep-within=1h`": async () =>
    expectError(
      await ask("/api/prune?keep-within=1h", { method: "POST" }),
      400,
      'unknown parameter "keep-within"',
    ),
  "prune, a body that isn't an urlencoded form": async () => {
    const multipart = new FormData();
    multipart.set("keep_within", "1h");
    for (const body of [multipart, '{"keep_within":"1h"}', Buffer.from("keep_within=1h")]) {
      const response = await ask("/api/prune", { method: "POST", body });
      await expectError(response, 415, "send the form urlencoded");
    }
  },
  "any, by a browser for a page elsewhere": async () => {
    const headers = { "Sec-Fetch-Site": "cross-site" };
    const response = await ask("/api/prune", { method: "POST", headers });
    await expectError(response, 403, "a page of another site");
  },
  "any, for a Host that isn't allowed": async () => {
    const args = ["--snapshot-dir", tempDir(), "--web.allowed-hosts", "prometheus.example"];
    const { url } = await startServer(args);
    await expectError(await fetch(url), 421, "--web.allowed-hosts doesn't name it");
  },
});

/** A command line of the document, as the shell would split it. */
function shellWords(line: string): { env: Record<string, string>; words: string[] } {
  const words = line.replaceAll("`", "").split(" ");
  const env: Record<string, string> = {};
  while (/^[A-Z_]+=/.test(words[0] ?? "")) {
    const [name = "", value = ""] = (words.shift() ?? "").split(/=(.*)/);
    env[name] = value;
  }
  return { env, words };
}

/** Runs a row of `prombackup` as it stands, against the server of this test. */
async function runRow(line: string, cwd: string) {
  const { env, words } = shellWords(line);
  const here = (text: string) =>
    text.replace("http://prombackupserver:8080", server.url).replace("/tmp/", `${cwd}/`);
  const args = words.slice(1).map(here);
  const program = words[0] === "prombackup-server" ? "prombackup-server" : "prombackup";
  const ownEnv = Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, here(value)]),
  );
  return run(program, args, { env: ownEnv, cwd });
}

const commandTests: Rows = {};
function commandRow(line: string, body: (row: string) => Promise<void>): void {
  commandTests[`\`${line}\``] = () => body(line);
}

commandRow(
  "prombackup-server -listen_address :8080 -prometheus_endpoint http://prometheus:9090 -snapshot_dir /storage/snapshots",
  async (row) => {
    const words = shellWords(row)
      .words.slice(1)
      .map((w) => w.replace(":8080", ":0").replace("/storage/snapshots", tempDir()));
    const started = await startServer(words);
    expect(started.log()).toMatch(/msg=listening address=(0\.0\.0\.0|\[::\]):\d+/);
    expect(await started.stop()).toBe(0);
  },
);
for (const row of [
  "prombackup-server -help",
  "prombackup help",
  "prombackup help create",
  "prombackup flags",
]) {
  commandRow(row, async () => {
    const { status, stdout, stderr } = await runRow(row, tempDir());
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(row === "prombackup help" ? "create" : "--");
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
}
for (const row of ["prombackup-server -version", "prombackup -version"]) {
  commandRow(row, async () => {
    const { status, stdout } = await runRow(row, tempDir());
    expect(status).toBe(0);
    expect(stdout).toMatch(/^prombackup(-server)? \d+\.\d+\.\d+ \(.*bun \d.*linux\/\w+\)\n$/);
  });
}
commandRow("prombackup commands", async (row) => {
  const { stdout } = await runRow(row, tempDir());
  expect(stdout.split("\n")).toContain("create");
});
commandRow("prombackup -server http://prombackupserver:8080 create", async (row) => {
  const cwd = tempDir();
  const { status, stderr } = await runRow(row, cwd);
  expect([status, stderr]).toEqual([0, expect.stringContaining("wrote")]);
  expect(readdirSync(cwd)).toEqual([expect.stringMatching(/^\d{8}T\d{6}Z-[0-9a-f]{16}\.tar$/)]);
});
commandRow(
  "PROMBACKUP_ENDPOINT=http://prombackupserver:8080 prombackup create -format tgz -output /tmp/mybackup.tar.gz",
  async (row) => {
    const cwd = tempDir();
    const { status, stderr } = await runRow(row, cwd);
    expect([status, stderr]).toEqual([0, expect.stringContaining("wrote")]);
    expect(readdirSync(cwd)).toEqual(["mybackup.tar.gz"]);
  },
);
commandRow(
  "PROMBACKUP_ENDPOINT=http://prombackupserver:8080 prombackup prune -keep_within 12h",
  async (row) => {
    const { status, stderr } = await runRow(row, tempDir());
    expect([status, stderr]).toEqual([0, expect.stringContaining("nothing to remove")]);
  },
);

table("Command lines", commandTests);

const flagTests: Rows = {};
for (const row of rows("Flags")) flagTests[row] = () => checkFlagRow(row);

/** The help tells the flag with the document's environment variable and default; the parser takes it. */
async function checkFlagRow(row: string): Promise<void> {
  const line = document.split("\n").find((each) => each.startsWith(`| ${row} |`)) ?? "";
  const [, flagCell = "", envCell = "", defaultCell = ""] = line
    .split("|")
    .map((cell) => cell.replaceAll("`", "").trim());
  const words = flagCell.split(" ");
  const flag = words.pop() ?? "";
  const [program, ...command] = words;
  const { stdout } = await run(program === "prombackup-server" ? program : "prombackup", [
    ...command,
    "--help",
  ]);
  const entry = stdout.split(`  ${flag}`)[1]?.split("\n  --")[0]?.replace(/\s+/g, " ") ?? "";
  expect(entry).not.toBe("");
  if (envCell !== "") expect(entry).toContain(`environment ${envCell}`);
  if (defaultCell !== "") expect(entry).toContain(`default ${defaultCell}`);
  if (envCell === "" || envCell === "PROMBACKUP_SERVER_SNAPSHOT_DIR") return;
  const missing = ["PROMBACKUP_ENDPOINT"].includes(envCell) ? "http//bad" : "\u0000bad".slice(1);
  const bad = await run(program === "prombackup-server" ? program : "prombackup", command, {
    env: { PROMBACKUP_SERVER_SNAPSHOT_DIR: "/nonexistent", [envCell]: missing },
  });
  expect([bad.status, bad.stderr]).toEqual([2, expect.stringContaining(envCell)]);
}

table("Flags", flagTests);

table("Exit statuses", {
  "0": async () =>
    expect((await run("prombackup", ["list", "--server", server.url])).status).toBe(0),
  "1": async () =>
    expect((await run("prombackup", ["list", "--server", "http://127.0.0.1:1"])).status).toBe(1),
  "2": async () => {
    for (const args of [
      ["create"],
      ["create", "--bogus"],
      ["create", "--format"],
      ["create", "--format", "zip"],
      ["nonsense"],
      [],
      ["prune", "--keep-within", "abc"],
      ["verify"],
      ["list", "surplus", "--server", server.url],
      ["toString"],
    ]) {
      const { status, stdout, stderr } = await run("prombackup", args, {
        env: { PROMBACKUP_ENDPOINT: args[1] === undefined ? "" : server.url },
      });
      expect([args, status, stdout]).toEqual([args, 2, ""]);
      expect(stderr).toStartWith("prombackup: ");
    }
    for (const args of [
      [],
      ["--bogus"],
      ["--snapshot-dir"],
      ["--snapshot-dir", "/x", "--autoprune=maybe"],
      ["--snapshot-dir", "/x", "surplus"],
      ["--snapshot-dir", "/x", "--prometheus-endpoint", "nonsense"],
    ]) {
      const { status, stdout } = await run("prombackup-server", args);
      expect([args, status, stdout]).toEqual([args, 2, ""]);
    }
  },
  "3": async () => {
    const file = join(tempDir(), "x.tar");
    writeFileSync(file, "not an archive");
    expect((await run("prombackup", ["verify", file])).status).toBe(3);
  },
  "129": async () => expect(await interrupted("SIGHUP")).toBe(129),
  "130": async () => expect(await interrupted("SIGINT")).toBe(130),
  "143": async () => expect(await interrupted("SIGTERM")).toBe(143),
});

/** The status of a `create` that is interrupted while its snapshot is being taken. */
async function interrupted(signal: NodeJS.Signals): Promise<number> {
  const asked = Promise.withResolvers<void>();
  const silent = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: () => {
      asked.resolve();
      return new Promise<Response>(() => {});
    },
  });
  atEnd(() => silent.stop(true));
  const cwd = tempDir();
  const command = commandLine("prombackup", ["create", "--server", String(silent.url)]);
  // Whoever runs the tests may have SIGHUP ignored.
  const child = Bun.spawn(["env", "--default-signal=HUP", ...command], {
    env: cleanEnvironment(),
    cwd,
    stderr: "ignore",
  });
  await asked.promise;
  child.kill(signal);
  const status = await child.exited;
  expect(readdirSync(cwd)).toEqual([]);
  return status;
}
