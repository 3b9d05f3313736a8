import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { archiveOf, blockNames, restore } from "../restore/support.ts";
import { atEnd } from "../support/at-end.ts";
import { selfSigned, signedBy } from "../support/certificates.ts";
import { cleanEnvironment, commandLine, run, startServer } from "../support/programs.ts";
import { makeBlocks } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";

const NAME = "20260101T000000Z-0123456789abcdef";
const PASSWORD = "hunter2%40 secret";
const HASH = await Bun.password.hash(PASSWORD, { algorithm: "bcrypt", cost: 4 });
const NOWHERE = ["--prometheus-endpoint", "http://127.0.0.1:1"];

function snapshotDir(bytes = 1000): string {
  const dir = join(tempDir(), "snapshots");
  mkdirSync(join(dir, NAME), { recursive: true });
  writeFileSync(join(dir, NAME, "data"), Buffer.alloc(bytes, 7));
  return dir;
}

function file(dir: string, name: string, content: string): string {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
}

function withUser(url: string, user: string, password: string): string {
  return url.replace("//", `//${encodeURIComponent(user)}:${encodeURIComponent(password)}@`);
}

describe.skipIf(!needs("openssl"))("the client of a server with mutual TLS and users", () => {
  async function setUp() {
    const dir = tempDir();
    const authority = selfSigned("authority", dir);
    const server = selfSigned("server", dir);
    const client = signedBy(authority, "client", dir);
    const web = file(
      dir,
      "web.yml",
      `tls_server_config:
  cert_file: ${server.cert}
  key_file: ${server.key}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ${authority.cert}
basic_auth_users: {backup: ${HASH}}
`,
    );
    const args = [...NOWHERE, "--snapshot-dir", snapshotDir(), "--web.config.file", web];
    const { url } = await startServer(args);
    const tls = `tls_config: {ca_file: ${server.cert}, cert_file: ${client.cert}, key_file: ${client.key}}\n`;
    file(dir, "password", `${PASSWORD}\n`);
    return { dir, url, tls, server, client };
  }

  test("gets in by a configuration file, its secret in a file of its own", async () => {
    const { dir, url, tls } = await setUp();
    const config = file(
      dir,
      "http.yml",
      `${tls}basic_auth: {username: backup, password_file: password}\nhttp_headers: {X-Scope: {values: [a]}}\n`,
    );
    const options = ["--server", url, "--http.config.file", config];
    const listed = await run("prombackup", ["list", ...options]);
    expect([listed.status, listed.stderr, listed.stdout]).toEqual([
      0,
      "",
      expect.stringContaining(NAME),
    ]);
    const env = { PROMBACKUP_HTTP_CONFIG_FILE: config, PROMBACKUP_ENDPOINT: url };
    expect((await run("prombackup", ["list"], { env })).status).toBe(0);
    const archive = file(dir, "archive.tar", "no archive");
    const verified = await run("prombackup", ["verify", archive, "--id", "none", ...options]);
    expect(verified.stderr).toContain("none");
    expect(verified.stderr).not.toContain("401");
    const pruned = await run("prombackup", ["prune", "--keep-within", "0s", ...options]);
    expect([pruned.status, pruned.stderr]).toEqual([0, expect.any(String)]);
  });

  test("gets in by a configuration that a pipe holds", async () => {
    const { url, tls } = await setUp();
    const config = `${tls}basic_auth: {username: backup, password: "${PASSWORD}"}`;
    const command = commandLine("prombackup", ["list", "--server", url, "--http.config.file"]);
    const child = Bun.spawn(["bash", "-c", '"$@" <(printf %s "$CONFIG")', "bash", ...command], {
      env: cleanEnvironment({ CONFIG: config }),
      stdout: "pipe",
    });
    expect(await child.stdout.text()).toContain(NAME);
    expect(await child.exited).toBe(0);
  });

  test("gets in by user and password in the URL", async () => {
    const { dir, url, tls } = await setUp();
    const config = file(dir, "http.yml", tls);
    const server = withUser(url, "backup", PASSWORD);
    const options = ["--server", server, "--http.config.file", config];
    expect((await run("prombackup", ["list", ...options])).status).toBe(0);
  });

  test("is told why it doesn't get in, and never tells the secret", async () => {
    const { dir, url, tls, server } = await setUp();
    const users = { username: "backup", password: "wrong-hunter2" };
    const basic = `basic_auth: {username: ${users.username}, password: ${users.password}}\n`;
    const inUrl = withUser(url, "backup", "wrong-hunter2");
    const ca = `tls_config: {ca_file: ${server.cert}}\n`;
    const elsewhere = url.replace("127.0.0.1", "localhost");
    const wrongName = tls.replace("{", "{server_name: other.example, ");
    const failing: [string, string, number, string][] = [
      [`${tls}${basic}`, url, 1, "401: Unauthorized: give user and password by --http.config.file"],
      [tls, inUrl, 1, "401: Unauthorized"],
      ["", inUrl, 1, "its certificate is of no known authority"],
      [`${ca}${basic}`, inUrl, 1, "client certificate"],
      [wrongName, inUrl, 1, "its certificate is for another name"],
      [basic, inUrl.replace("https", "http"), 1, ""],
      [basic, withUser("http://127.0.0.1:1", "u", "wrong-hunter2"), 1, "nothing listens there"],
      [basic, withUser("ftp://127.0.0.1:1", "u", "wrong-hunter2"), 2, "not an http:// or https://"],
      [basic, "backup:wrong-hunter2@host:1", 2, "not an http:// or https://"],
      [basic, "https://backup:wrong-hunter2/x@host:99999", 2, ""],
      [basic, `${withUser(elsewhere, "u", "wrong-hunter2")}/?a=b`, 2, "has a query"],
      ["basic_auth: wrong-hunter2", url, 1, "basic_auth is not a mapping"],
      ["basic_auth: {username: a, passwort: wrong-hunter2}", url, 1, "basic_auth.passwort is not"],
      ["authorization: {type: Basic, credentials: wrong-hunter2}", url, 1, "use basic_auth"],
      [`${basic}oauth2: {client_secret: wrong-hunter2}`, url, 1, "oauth2 is not a known key"],
      [`${basic}proxy_url: x`, url, 1, "proxy_url is not a known key"],
      ["basic_auth: {username: a, password_file: none}", url, 1, "none can't be read"],
      ["http_headers: {Host: {values: [wrong-hunter2]}}", url, 1, "http_headers.Host can't be set"],
    ];
    for (const [content, at, status, message] of failing) {
      const config = file(dir, "http.yml", content);
      const args = ["list", "--server", at, "--http.config.file", config];
      const result = await run("prombackup", args);
      const said = result.stdout + result.stderr;
      expect([content, at, result.status]).toEqual([content, at, status]);
      expect(said).toContain(message);
      expect(said).not.toContain("wrong-hunter2");
    }
    const word = await run("prombackup", ["list", inUrl]);
    expect([word.status, word.stderr.includes("wrong-hunter2")]).toEqual([2, false]);
  }, 60_000);
});

test("a token, and headers of one's own, reach the server; no secret is in the process list", async () => {
  const got = Promise.withResolvers<Headers>();
  const answered = Promise.withResolvers<Response>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      got.resolve(request.headers);
      return answered.promise;
    },
  });
  atEnd(() => server.stop(true));
  const dir = tempDir();
  const config = file(
    dir,
    "http.yml",
    "authorization: {credentials_file: token}\nhttp_headers:\n  X-Scope: {values: [a], secrets: [b], files: [c]}\n",
  );
  file(dir, "token", "hunter2\n");
  file(dir, "c", "c\n");
  const child = Bun.spawn(
    commandLine("prombackup", ["list", "--server", server.url.href, "--http.config.file", config]),
    { env: cleanEnvironment(), stdout: "pipe", stderr: "pipe" },
  );
  const headers = await got.promise;
  expect(headers.get("Authorization")).toBe("Bearer hunter2");
  expect(headers.get("X-Scope")).toBe("a, b, c");
  for (const name of ["cmdline", "comm", "status"])
    expect(readFileSync(`/proc/${child.pid}/${name}`, "latin1")).not.toContain("hunter2");
  answered.resolve(Response.json({ snapshots: [] }));
  expect(await child.exited).toBe(0);
});

test("a server that doesn't get into Prometheus tells no secret either", async () => {
  const dir = tempDir();
  const rejecting = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("no", { status: 401 }),
  });
  atEnd(() => rejecting.stop(true));
  for (const endpoint of ["http://127.0.0.1:1", rejecting.url.origin, "ftp://127.0.0.1"]) {
    const at = withUser(endpoint, "backup", "hunter2");
    const args = ["--prometheus-endpoint", at, "--snapshot-dir", join(dir, "snapshots")];
    if (endpoint.startsWith("ftp")) {
      const { status, stderr } = await run("prombackup-server", args);
      expect([status, stderr.includes("hunter2")]).toEqual([2, false]);
      continue;
    }
    const server = await startServer(args);
    let said = "";
    for (const [method, path] of [
      ["GET", "/-/ready"],
      ["POST", "/api/snapshot"],
      ["GET", "/metrics"],
    ]) {
      const response = await fetch(server.url + path, { method: method ?? "" });
      said += await response.text();
    }
    expect(said).toContain(endpoint);
    expect(said + server.log()).not.toContain("hunter2");
  }
});

describe.skipIf(!needs("prometheus", "openssl", "curl"))("a Prometheus with TLS and users", () => {
  async function startGuarded(dataDir = join(tempDir(), "data")) {
    const dir = tempDir();
    const certificate = selfSigned("prometheus", dir);
    const web = file(
      dir,
      "web.yml",
      `tls_server_config: {cert_file: ${certificate.cert}, key_file: ${certificate.key}}\nbasic_auth_users: {backup: ${HASH}}\n`,
    );
    const port = freePort();
    const child = Bun.spawn(
      [
        findPrometheus("prometheus") ?? "",
        `--config.file=${file(dir, "prometheus.yml", "scrape_configs: []\n")}`,
        `--storage.tsdb.path=${dataDir}`,
        "--storage.tsdb.retention.time=10y",
        `--web.listen-address=127.0.0.1:${port}`,
        "--web.enable-admin-api",
        `--web.config.file=${web}`,
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    atEnd(async () => {
      child.kill("SIGKILL");
      await child.exited;
    });
    const url = `https://127.0.0.1:${port}`;
    const curl = ["curl", "-sfo", "/dev/null", "--cacert", certificate.cert];
    const user = ["-u", `backup:${PASSWORD}`];
    await until(() => Bun.spawnSync([...curl, ...user, `${url}/-/ready`]).success);
    const config = file(
      dir,
      "http.yml",
      `tls_config: {ca_file: ${certificate.cert}}\nbasic_auth: {username: backup, password_file: password}\n`,
    );
    file(dir, "password", PASSWORD);
    return { dir, url, config, certificate, snapshots: join(dataDir, "snapshots") };
  }

  test("is asked by restore, before and after", async () => {
    const { dataDir: made } = await makeBlocks({ hours: 4, series: 2 });
    const archive = archiveOf(made);
    const dataDir = join(tempDir(), "data");
    const { url, config, certificate, dir } = await startGuarded(dataDir);
    const at = ["--data-dir", dataDir, "--prometheus-endpoint", url];
    const http = ["--prometheus.http.config.file", config];
    const blocks = blockNames(made).flatMap((name) => ["--block", name]);
    // Within the minute in which Prometheus looks for new blocks.
    const restored = await restore(archive, ...at, ...http, ...blocks, "--wait", "0");
    expect([restored.status, restored.stdout]).toEqual([
      1,
      expect.stringContaining("keeps 10y; once it is stopped"),
    ]);
    expect(blockNames(dataDir)).toEqual(blockNames(made));

    const elsewhere = ["--data-dir", join(tempDir(), "data"), "--prometheus-endpoint", url];
    const other = await restore(archive, ...elsewhere, ...http);
    expect([other.status, other.stderr]).toEqual([
      0,
      expect.stringContaining(
        `--prometheus-endpoint ${url}/ --prometheus.http.config.file ${config} --check`,
      ),
    ]);

    const ca = file(dir, "ca.yml", `tls_config: {ca_file: ${certificate.cert}}\n`);
    const nobody = ["--prometheus.http.config.file", ca, "--wait", "0"];
    for (const mode of ["--merge", "--check"]) {
      const refused = await restore(archive, ...at, ...nobody, mode);
      expect([refused.status, refused.stderr]).toEqual([
        1,
        expect.stringContaining("give them by --prometheus.http.config.file"),
      ]);
    }
    const useless = await restore(archive, "--data-dir", dataDir, ...http);
    expect([useless.status, useless.stderr]).toEqual([
      2,
      expect.stringContaining("--prometheus.http.config.file needs --prometheus-endpoint"),
    ]);
  });

  test("is backed up by the server and by the client alone", async () => {
    const { dir, url, config, certificate, snapshots } = await startGuarded();
    const at = ["--prometheus-endpoint", url, "--snapshot-dir", snapshots];
    const http = ["--prometheus.http.config.file", config];
    const server = await startServer([...at, ...http]);
    expect((await fetch(`${server.url}/-/ready`)).status).toBe(200);
    const byServer = join(dir, "server.tar");
    const created = await run("prombackup", [
      "create",
      "--server",
      server.url,
      "--output",
      byServer,
    ]);
    expect([created.status, created.stderr]).toEqual([0, expect.stringContaining("wrote")]);
    const alone = join(dir, "alone.tar");
    const local = await run("prombackup", ["create", ...at, ...http, "--output", alone]);
    expect([local.status, local.stderr]).toEqual([0, expect.stringContaining("wrote")]);

    const ca = file(dir, "ca.yml", `tls_config: {ca_file: ${certificate.cert}}\n`);
    const inUrl = ["--prometheus-endpoint", withUser(url, "backup", PASSWORD)];
    const withCa = ["--snapshot-dir", snapshots, "--prometheus.http.config.file", ca];
    const byUrl = await run("prombackup", ["create", ...inUrl, ...withCa, "--output", alone]);
    expect(byUrl.status).toBe(0);

    const nobody = await run("prombackup", ["create", ...at, ...withCa, "--output", alone]);
    expect([nobody.status, nobody.stderr]).toEqual([
      1,
      expect.stringContaining("lets nobody in without user and password"),
    ]);
    // A changed secret counts at the next request; a broken file is told to who asks.
    file(dir, "password", "wrong-hunter2");
    expect((await fetch(`${server.url}/-/ready`)).status).toBe(503);
    file(dir, "http.yml", "basic_auth: {username: backup, password: wrong-hunter2, more: 1}\n");
    const broken = await fetch(`${server.url}/api/snapshot`, { method: "POST" });
    expect([broken.status, await broken.text()]).toEqual([
      500,
      expect.stringContaining("basic_auth.more is not a known key"),
    ]);
    expect(server.log()).not.toMatch(/hunter2/);
  }, 120_000);
});
