import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type RunOptions, run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { NAME, snapshotDir, start } from "./support.ts";

const SECRET = "Xq7-unguessable";
const TOKEN = "tok3n-Zz91";

/** How a secret could be told: itself, as a header holds it, as a URL does. */
function shapes(): string[] {
  const pairs = ["alice", "bob"].map((name) => btoa(`${name}:${SECRET}`));
  return [SECRET, TOKEN, ...pairs, encodeURIComponent(SECRET)];
}

function expectNoSecrets(text: string): void {
  for (const shape of shapes()) expect(text).not.toContain(shape);
}

/** Writes a file into a directory of its own. */
function written(name: string, text: string): string {
  const path = join(tempDir(), name);
  writeFileSync(path, text);
  return path;
}

describe("no secret is told by a run of prombackup that fails", () => {
  const password = written("http.yml", `basic_auth: { username: alice, password: "${SECRET}" }`);
  const token = written("token.yml", `authorization: { credentials: ${TOKEN} }`);
  const junk = [
    `basic_auth: { username: alice, password: ${SECRET} }\nauthorization: { credentials: ${TOKEN} }`,
    `basic_auth: { username: alice, pasword: ${SECRET} }`,
    `basic_auth: { username: alice, password: [${SECRET}] }`,
    `basic_auth: { username: alice, password: "${SECRET} }`,
    `bearer_token: ${TOKEN}`,
    `authorization: { credentials: "${TOKEN}\\n${SECRET}" }`,
    `authorization: { type: "${SECRET} x", credentials: ${TOKEN} }`,
    `oauth2: { client_secret: ${SECRET} }`,
    `tls_config: { key: "${SECRET}", cert: "${TOKEN}" }`,
    `http_headers: { X-A: { secrets: [${TOKEN}, 1] } }`,
    `proxy_url: http://alice:${SECRET}@proxy.example/`,
    SECRET,
    `[${SECRET}`,
  ].map((text, i) => written(`junk-${i}.yml`, text));
  const urls = [
    `http://alice:${SECRET}@127.0.0.1:1/`,
    `https://alice:${SECRET}@127.0.0.1:1/prefix/`,
    `http://${TOKEN}@127.0.0.1:1/`,
    `http://alice:${SECRET}@127.0.0.1:99999/`,
    `http://alice:${SECRET}@127.0.0.1:1/?x=1`,
    `http://alice:a/${SECRET}@127.0.0.1:1/`,
    `http://alice:a@${SECRET}@127.0.0.1:bad/`,
    `alice:${SECRET}@127.0.0.1:1`,
    `ftp://alice:${SECRET}@127.0.0.1:1/`,
    `http:/alice:${SECRET}@127.0.0.1:1/`,
  ];
  const here = "http://127.0.0.1:1/";
  const dir = ["--snapshot-dir", snapshotDir()];
  const cases: [readonly string[], RunOptions["env"]?][] = [
    ...urls.flatMap((url): [readonly string[]][] => [
      [["list", "--server", url]],
      [["create", "--retries", "0", ...dir, "--prometheus-endpoint", url]],
      [[url]],
    ]),
    // One that is well-formed, and one that isn't.
    ...[urls[0] ?? "", urls[6] ?? ""].flatMap((url): [readonly string[], RunOptions["env"]?][] => [
      [["list"], { PROMBACKUP_ENDPOINT: url }],
      [["list", url]],
      [["prune", "--server", url, "--http.config.file", password]],
      [["verify", "--id", "x", "/dev/null"], { PROMBACKUP_ENDPOINT: url }],
      [["restore", "--data-dir", "/nonexistent", "--prometheus-endpoint", url, "/dev/null"]],
    ]),
    ...[password, token, ...junk].flatMap((file): [readonly string[]][] => [
      [["list", "--server", here, "--http.config.file", file]],
      [
        [
          "create",
          "--retries",
          "0",
          ...dir,
          "--prometheus-endpoint",
          here,
          "--prometheus.http.config.file",
          file,
        ],
      ],
    ]),
  ];
  test.each(cases)("%j", async (args, env = {}) => {
    const { status, stdout, stderr } = await run("prombackup", args, { env });
    expect(status).not.toBe(0);
    expect(stderr).not.toBe("");
    expectNoSecrets(stdout + stderr);
  });
});

describe("nor of a proxy that the environment names", () => {
  // Answers as a proxy that wants another password.
  const proxy = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (socket) => {
        socket.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
      },
    },
  });
  afterAll(() => proxy.stop(true));
  const user = `alice:${SECRET}@`;
  const proxies = [
    `http://${user}127.0.0.1:${proxy.port}/`,
    `http://${user}127.0.0.1:1/`,
    `http://${user}proxy.invalid:3128`,
    `http://${user}127.0.0.1:99999/`,
    `socks5://${user}127.0.0.1:1/`,
    `${user}127.0.0.1:1`,
    `nonsense ${SECRET}`,
  ];
  const targets = ["http://prombackup.invalid/", `https://bob:${SECRET}@prombackup.invalid/`];
  const cases = proxies.flatMap((each) => targets.map((target) => [each, target]));
  test.each(cases)("%s for %s", async (named = "", target = "") => {
    const env = { http_proxy: named, https_proxy: named };
    const { status, stdout, stderr } = await run("prombackup", ["list", "--server", target], {
      env,
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^prombackup: /)]);
    expectNoSecrets(stdout + stderr);
  });
});

test("nor by a server that refuses, in its answers or its log", async () => {
  const guarded = await start(
    snapshotDir(),
    ...[
      "--web.config.file",
      written(
        "web.yml",
        `basic_auth_users: { alice: ${Bun.password.hashSync("other", { algorithm: "bcrypt", cost: 4 })} }`,
      ),
    ],
  );
  const http = written("http.yml", `basic_auth: { username: bob, password: ${SECRET} }`);
  const refused = await run("prombackup", [
    ...["create", "--retries", "0", "--server", guarded.url, "--http.config.file", http],
  ]);
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("answered 401")]);
  const bare = await fetch(guarded.url, { headers: { Authorization: `Bearer ${TOKEN}` } });
  expectNoSecrets(refused.stdout + refused.stderr + guarded.log() + (await bare.text()));
});

test("nor by a server that can't reach Prometheus, in answers, log, metrics or process title", async () => {
  const url = `http://alice:${SECRET}@127.0.0.1:1/`;
  const http = written("http.yml", `authorization: { credentials: ${TOKEN} }`);
  const broken = written("http.yml", `authorization: { credentials: ${TOKEN} }`);
  const dir = snapshotDir();
  const servers = [
    await startServer(["--snapshot-dir", dir], {
      env: { PROMBACKUP_SERVER_PROMETHEUS_ENDPOINT: url },
    }),
    await startServer([
      ...["--snapshot-dir", dir, "--prometheus-endpoint", "http://127.0.0.1:1"],
      ...["--prometheus.http.config.file", http],
    ]),
    await startServer([
      ...["--snapshot-dir", dir, "--prometheus-endpoint", "http://127.0.0.1:1"],
      ...["--prometheus.http.config.file", broken],
    ]),
  ];
  writeFileSync(broken, `authorization: { credentials: [${SECRET}] }`);
  for (const server of servers) {
    let told = "";
    for (const [method, path] of [
      ["POST", "/api/snapshot"],
      ["GET", "/-/ready"],
      ["GET", "/metrics"],
      ["GET", "/"],
      ["GET", "/api/snapshots"],
      ["GET", `/api/download?name=${NAME}`],
      ["GET", "/api/downloads"],
    ] as const) {
      const answer = await fetch(server.url + path, { method });
      told += [...answer.headers].join("\n") + (await answer.text());
    }
    told += readFileSync(`/proc/${server.pid}/cmdline`, "latin1");
    told += readFileSync(`/proc/${server.pid}/comm`, "latin1");
    expect(await server.stop()).toBe(0);
    expect(server.log()).toContain("127.0.0.1");
    expectNoSecrets(told + server.log());
  }
});

test("nor by a server that refuses its files at the start", async () => {
  const files = [
    `basic_auth_users: { alice: ${SECRET} }`,
    `basic_auth_users: { alice: [${SECRET}] }`,
    `basic_auth_users:\n  alice: "${SECRET}\n`,
    `tls_server_config: { cert: "${TOKEN}", key: "${SECRET}" }`,
    `tls_server_config: { key: "${SECRET}" }`,
    `http_server_config: { headers: { Strict-Transport-Security: [${SECRET}] } }`,
    SECRET,
  ];
  for (const text of files) {
    const args = ["--snapshot-dir", tempDir(), "--web.config.file", written("web.yml", text)];
    const { status, stdout, stderr } = await run("prombackup-server", args);
    expect([text, status]).toEqual([text, 1]);
    expectNoSecrets(stdout + stderr);
  }
});
