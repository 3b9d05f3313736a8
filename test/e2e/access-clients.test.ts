import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { archiveOf, blockNames, restore } from "../restore/support.ts";
import { atEnd } from "../support/at-end.ts";
import { type Certificate, selfSigned, signedBy, withChain } from "../support/certificates.ts";
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
      [`${tls}${basic}`, url, 1, "401: Unauthorized: user and password are missing or wrong, give"],
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
      [`${basic}oauth2: {client_secret: wrong-hunter2}`, url, 1, "oauth2 can't be honoured"],
      [
        `${basic}proxy_url: http://u:wrong-hunter2@x`,
        url,
        1,
        "proxy_url can't be honoured: http_p",
      ],
      ["bearer_token: wrong-hunter2", url, 1, "use that"],
      ["basic_auth: {username: a, wrong-hunter2}", url, 1, "another form than key: value"],
      ["basic_auth: {username: a, wrong-hunter2: }", url, 1, "neither a known key nor has a value"],
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
  });
});

/** Of the tests that need none of their own. */
const dir = tempDir();

describe("what promtool's file may hold", () => {
  file(dir, "user", "alice\n");
  file(dir, "secret", "se cret\r\n");
  file(dir, "empty", "");

  /** The headers that a file makes the client send, or why it sends nothing. */
  async function sent(content: string): Promise<Headers | string> {
    let got: Headers | undefined;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ headers }) => {
        got = headers;
        return Response.json({ snapshots: [] });
      },
    });
    const args = ["list", "--server", server.url.href, "--http.config.file"];
    const { stderr } = await run("prombackup", [...args, file(dir, "http.yml", content)]);
    await server.stop(true);
    return got ?? stderr;
  }

  const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;
  const honoured: [string, string | null][] = [
    ["", null],
    ["enable_http2: true\nfollow_redirects: false\nproxy_url: ''", null],
    ["basic_auth: {username: alice, password: 'a:b'}", basic("alice:a:b")],
    ["basic_auth: {username_file: user, password_file: secret}", basic("alice:se cret")],
    ["basic_auth: {username: jürgen, password: pä€}", basic("jürgen:pä€")],
    ["basic_auth: {username: alice}", basic("alice:")],
    ["authorization: {credentials_file: secret}", "Bearer se cret"],
    ["authorization: {type: Token, credentials: a}", "Token a"],
    ["tls_config: {insecure_skip_verify: false, min_version: TLS12, max_version: TLS13}", null],
  ];
  test.each(honoured)("%j is honoured", async (content, authorization) => {
    const headers = await sent(content);
    expect(headers).toBeInstanceOf(Headers);
    if (headers instanceof Headers) expect(headers.get("Authorization")).toBe(authorization);
  });

  const refused: [string, string][] = [
    ["follow_redirects: true", "follow_redirects can't be honoured"],
    ["no_proxy: a", "no_proxy can't be honoured"],
    ["proxy_from_environment: true", "proxy_from_environment can't be honoured"],
    ["proxy_connect_header: {a: [b]}", "proxy_connect_header can't be honoured"],
    ["bearer_token_file: secret", "bearer_token_file is authorization.credentials_file"],
    ["basic_auth: {password: a}", "basic_auth.username is missing or empty"],
    ["basic_auth: {username: a, username_file: user}", "username_file and username exclude"],
    ["basic_auth: {username_ref: a}", "basic_auth.username_ref is not a known key"],
    ["basic_auth: {username: 12}", "basic_auth.username is not text: put it in quotes"],
    ["authorization: {credentials_file: empty}", "authorization.credentials is missing or empty"],
    ["tls_config: {min_version: TLS14}", "tls_config.min_version is not one of"],
    ["tls_config: {next_protos: [a]}", "tls_config.next_protos is not a known key"],
  ];
  test.each(refused)("%j is refused by its name", async (content, message) => {
    expect(await sent(content)).toContain(message);
  });
});

describe.skipIf(!needs("openssl"))("the certificate of a server", () => {
  const list = async (url: string, content: string, env = {}) => {
    const args = ["list", "--server", url, "--http.config.file", file(dir, "http.yml", content)];
    const { status, stderr } = await run("prombackup", args, { env });
    return status === 0 ? "served" : stderr;
  };
  const serve = async ({ cert, key }: Certificate, more = "") => {
    const web = file(
      dir,
      "web.yml",
      `tls_server_config:\n  cert_file: ${cert}\n  key_file: ${key}\n${more}`,
    );
    return startServer([...NOWHERE, "--snapshot-dir", snapshotDir(), "--web.config.file", web]);
  };
  const FOR_SERVERS = { extensions: "subjectAltName=IP:127.0.0.1" };
  const CA = { extensions: "basicConstraints=critical,CA:TRUE" };

  test("is checked, whatever the environment says, and by the file's authority alone", async () => {
    const [server, other] = [selfSigned("server", dir), selfSigned("other", dir)];
    const { url } = await serve(server);
    const unknown = expect.stringContaining("its certificate is of no known authority");
    const careless = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    expect(await list(url, "", careless)).toEqual(unknown);
    expect(await list(url, `tls_config: {ca_file: ${other.cert}}`, careless)).toEqual(unknown);
    expect(await list(url, "tls_config: {insecure_skip_verify: true}")).toBe("served");
    // As the system's own authorities.
    const trusting = { SSL_CERT_FILE: server.cert };
    expect(await list(url, "", trusting)).toBe("served");
    expect(await list(url, `tls_config: {ca_file: ${other.cert}}`, trusting)).toEqual(unknown);
  });

  test("that has expired is told as such", async () => {
    const root = selfSigned("root", dir);
    const { url } = await serve(signedBy(root, "expired", dir, { ...FOR_SERVERS, days: -1 }));
    const config = `tls_config: {ca_file: ${root.cert}}`;
    expect(await list(url, config)).toContain("its certificate has expired");
  });

  test("is checked up to the root, which must be in ca_file", async () => {
    const root = selfSigned("root", dir);
    const intermediate = signedBy(root, "intermediate", dir, CA);
    const leaf = withChain(signedBy(intermediate, "leaf", dir, FOR_SERVERS), intermediate);
    const { url } = await serve(leaf);
    expect(await list(url, `tls_config: {ca_file: ${root.cert}}`)).toBe("served");
    expect(await list(url, `tls_config: {ca_file: ${intermediate.cert}}`)).toContain(
      "tls_config.ca_file can't be honoured without the root: add the certificate of CN=root",
    );
  });

  test("is never seen by versions of TLS that the file rules out", async () => {
    const server = selfSigned("server", dir);
    const { url } = await serve(server, "  max_version: TLS12\n");
    const ca = `ca_file: ${server.cert}`;
    expect(await list(url, `tls_config: {${ca}}`)).toBe("served");
    expect(await list(url, `tls_config: {${ca}, min_version: TLS13}`)).toContain(
      "the TLS handshake failed",
    );
  });
});

test("a password that a pipe holds is good for all requests of a command", async () => {
  const dir = tempDir();
  const prometheus = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => Response.json({ status: "success", data: { name: NAME } }),
  });
  atEnd(() => prometheus.stop(true));
  const web = file(dir, "web.yml", `basic_auth_users: {backup: ${HASH}}\n`);
  const { url } = await startServer([
    ...["--prometheus-endpoint", prometheus.url.href],
    ...["--snapshot-dir", snapshotDir(), "--web.config.file", web],
  ]);
  const http = file(dir, "http.yml", "basic_auth: {username: backup, password_file: /dev/fd/9}\n");
  const target = ["--output", join(dir, "a.tar"), "--remove-snapshot"];
  const command = ["create", "--server", url, "--http.config.file", http, ...target];
  const { status, stderr } = await run("prombackup", command, {
    under: ["bash", "-c", '"$@" 9< <(sleep 0.2; printf %s "$SECRET")', "bash"],
    env: { SECRET: PASSWORD },
  });
  expect([status, stderr]).toEqual([0, expect.stringContaining("wrote")]);
});

test("a token, and headers of one's own, reach the server; no secret is in the process list", async () => {
  const got = Promise.withResolvers<Headers>();
  const answered = Promise.withResolvers<Response>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
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

    // restore asks it for its configuration.
    const into = ["--data-dir", join(dir, "restored"), "--prometheus-endpoint", url];
    const restored = await run("prombackup", ["restore", byServer, ...into, "--dry-run", ...http]);
    expect(restored.stderr).toContain("the archive has no block to restore");
    expect(restored.stdout).toContain(`at ${url}/ keeps`);
    const stranger = await run("prombackup", ["restore", byServer, ...into, ...withCa.slice(2)]);
    expect([stranger.status, stranger.stderr]).toEqual([
      1,
      expect.stringContaining("give them by --prometheus.http.config.file"),
    ]);

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
