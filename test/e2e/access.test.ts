import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../src/lib/errors.ts";
import { type Certificate, selfSigned, signedBy } from "../support/certificates.ts";
import { type RunningServer, run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

const NAME = "20260101T000000Z-0123456789abcdef";
const SECRET = "correct horse";
// Bun's and Apache's own: $2b$ and $2y$.
const hashes = {
  low: await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 4 }),
  usual: await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 10 }),
};

interface Setup {
  readonly dir: string;
  readonly web: string;
  readonly snapshots: string;
}

/** A snapshot of so many bytes, and a web configuration file. */
function setUp(webConfig: string, bytes = 1000): Setup {
  const dir = tempDir();
  const setup = { dir, web: join(dir, "web.yml"), snapshots: join(dir, "snapshots") };
  mkdirSync(join(setup.snapshots, NAME), { recursive: true });
  writeFileSync(join(setup.snapshots, NAME, "data"), Buffer.alloc(bytes, 7));
  writeFileSync(setup.web, webConfig);
  return setup;
}

function start(setup: Setup, ...args: string[]): Promise<RunningServer> {
  const { snapshots, web } = setup;
  const endpoint = ["--prometheus-endpoint", "http://127.0.0.1:1"];
  return startServer([...endpoint, "--snapshot-dir", snapshots, "--web.config.file", web, ...args]);
}

/** Puts a file in the place of another in one step, as careful tools do. */
function replace(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}

function basic(user: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("not within 20 s");
    await Bun.sleep(20);
  }
}

async function status(url: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(url, { headers, keepalive: false });
  await response.body?.cancel();
  return response.status;
}

async function output(...command: string[]): Promise<{ status: number; text: string }> {
  const child = Bun.spawn(["timeout", "20", ...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, text: out + err };
}

describe("users", () => {
  test("are let in with their password alone, to every page, with the file's headers", async () => {
    const setup = setUp(
      `basic_auth_users: {alice: ${hashes.low}}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n`,
    );
    const { url, log } = await start(setup);
    for (const path of ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing", "/api/snapshots"]) {
      const response = await fetch(url + path);
      expect([path, response.status, await response.text()]).toEqual([path, 401, "Unauthorized\n"]);
      expect(response.headers.get("WWW-Authenticate")).toStartWith("Basic ");
      expect(response.headers.get("X-Frame-Options")).toBe("deny");
    }
    const snapshots = `${url}/api/snapshots`;
    expect(await status(snapshots, basic("alice", SECRET))).toBe(200);
    expect(await status(snapshots, basic("alice", SECRET))).toBe(200);
    expect(await status(snapshots, basic("alice", "wrong"))).toBe(401);
    expect(await status(snapshots, basic("alice", ""))).toBe(401);
    expect(await status(snapshots, basic("Alice", SECRET))).toBe(401);
    expect(await status(snapshots, basic("constructor", SECRET))).toBe(401);
    for (const header of ["Basic", "Basic !", `Bearer ${SECRET}`, "Basic YWxpY2U=", "Basic Og=="])
      expect(await status(snapshots, { Authorization: header })).toBe(401);
    expect(await status(`${url}/-/healthy`, basic("alice", SECRET))).toBe(200);
    expect(log()).not.toContain(SECRET);
  });

  test("of a long password count by its first 72 bytes, as everywhere", async () => {
    const long = "x".repeat(100);
    const first72 = await Bun.password.hash(long.slice(0, 72), { algorithm: "bcrypt", cost: 4 });
    const { url } = await start(setUp(`basic_auth_users: {alice: ${first72}}\n`));
    expect(await status(url, basic("alice", long))).toBe(200);
    expect(await status(url, basic("alice", long.slice(0, 71)))).toBe(401);
  });

  test("change with the file; a broken file changes nothing and is logged once", async () => {
    const setup = setUp(`basic_auth_users: {alice: ${hashes.low}}\n`);
    const { url, log } = await start(setup);
    expect(await status(url, basic("alice", SECRET))).toBe(200);
    replace(setup.web, `basic_auth_users: {bob: ${hashes.low}}\n`);
    expect(await status(url, basic("bob", SECRET))).toBe(200);
    expect(await status(url, basic("alice", SECRET))).toBe(401);
    replace(setup.web, "basic_auth_users: {bob: broken}\n");
    for (let i = 0; i < 5; i++) expect(await status(url, basic("bob", SECRET))).toBe(200);
    const complaints = () => log().match(/level=ERROR.*basic_auth_users.bob/g)?.length;
    await until(() => complaints() !== undefined);
    expect(complaints()).toBe(1);
    replace(setup.web, `basic_auth_users: {alice: ${hashes.low}}\n`);
    expect(await status(url, basic("alice", SECRET))).toBe(200);
  });

  test("a flood of wrong passwords is refused, and who is in already doesn't notice", async () => {
    const { url } = await start(setUp(`basic_auth_users: {alice: ${hashes.usual}}\n`));
    expect(await status(url, basic("alice", SECRET))).toBe(200);
    const flood = Array.from({ length: 200 }, (_, i) => status(url, basic("alice", `wrong${i}`)));
    expect(await status(url, basic("alice", SECRET))).toBe(200);
    const answers = await Promise.all(flood);
    expect(new Set(answers)).toEqual(new Set([401, 503]));
    // One is checked at a time, and eight wait.
    expect(answers.filter((answer) => answer === 503).length).toBeGreaterThan(100);
  }, 60_000);

  test("the many requests of a client that begins take one check", async () => {
    const { url } = await start(setUp(`basic_auth_users: {alice: ${hashes.usual}}\n`));
    const all = Array.from({ length: 50 }, () => status(url, basic("alice", SECRET)));
    expect(new Set(await Promise.all(all))).toEqual(new Set([200]));
  });
});

describe("rights", () => {
  const requests: [string, string][] = [
    ["GET", "/"],
    ["GET", "/metrics"],
    ["GET", "/api/snapshots"],
    ["GET", "/api/downloads"],
    ["GET", "/api/download_status?id=x"],
    ["POST", "/api/snapshot"],
    ["GET", `/api/download?name=${NAME}`],
    ["POST", "/api/prune?keep_within=1000000h"],
    ["DELETE", "/api/snapshots/20250101T000000Z-0123456789abcdef"],
    ["GET", "/-/healthy"],
  ];
  const allowed: Record<string, string[]> = {
    reader: ["/", "/metrics", "/api/snapshots", "/api/downloads", "/api/download_status"],
    creator: ["/api/download_status", "/api/snapshot", "/api/download"],
    pruner: ["/api/prune", "/api/snapshots/20250101T000000Z-0123456789abcdef"],
    none: [],
  };

  test("decide what each user may do; who isn't named may do everything", async () => {
    const users = [...Object.keys(allowed), "other"].map((name) => `  ${name}: ${hashes.low}\n`);
    const setup = setUp(`basic_auth_users:\n${users.join("")}`);
    const file = join(setup.dir, "access.yml");
    writeFileSync(
      file,
      "users:\n  reader: [read]\n  creator: [create]\n  pruner: [prune]\n  none: []\n",
    );
    const { url } = await start(setup, "--access-file", file);
    for (const [user, paths] of Object.entries(allowed)) {
      for (const [method, target] of requests) {
        const response = await fetch(url + target, { method, headers: basic(user, SECRET) });
        const path = target.split("?")[0] ?? "";
        const may = paths.includes(path) || path === "/-/healthy";
        const text = await response.text();
        expect([user, method, path, response.status !== 403]).toEqual([user, method, path, may]);
        if (!may) expect(text).toMatch(/^this user lacks the right "(read|create|prune)"/);
      }
    }
    for (const [method, target] of requests) {
      const response = await fetch(url + target, { method, headers: basic("other", SECRET) });
      await response.body?.cancel();
      expect([target, response.status]).not.toEqual([target, 403]);
    }
    replace(file, "users:\n  reader: [read, create]\n  gone: [read]\n");
    expect(await status(`${url}/api/download?name=${NAME}`, basic("reader", SECRET))).toBe(200);
  });

  test("without users, or with a right that there isn't, are refused at the start", async () => {
    const setup = setUp("");
    const file = join(setup.dir, "access.yml");
    const args = ["--snapshot-dir", setup.snapshots, "--access-file", file];
    writeFileSync(file, "users: {alice: [read]}\n");
    const without = await run("prombackup-server", args);
    expect([without.status, without.stderr]).toEqual([
      1,
      expect.stringContaining("name them under basic_auth_users"),
    ]);
    writeFileSync(setup.web, `basic_auth_users: {alice: ${hashes.low}}\n`);
    writeFileSync(file, "users: {alice: [write]}\n");
    const wrong = await run("prombackup-server", [...args, "--web.config.file", setup.web]);
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringContaining("users.alice holds something else than read, create, prune"),
    ]);
  });
});

describe("the start", () => {
  test("with a file that can't be honoured ends with the key's name", async () => {
    const setup = setUp("tls_server_config: {cipher_suites: [a]}\n");
    const message = `prombackup-server: ${setup.web}: tls_server_config.cipher_suites can't be honoured: remove it\n`;
    const args = ["--snapshot-dir", setup.snapshots];
    for (const flag of ["--web.config.file", "-web-config-file", "--web_config_file"]) {
      const { status, stderr } = await run("prombackup-server", [...args, flag, setup.web]);
      expect([flag, status, stderr]).toEqual([flag, 1, message]);
    }
    const env = { PROMBACKUP_SERVER_WEB_CONFIG_FILE: setup.web };
    const { status, stderr } = await run("prombackup-server", args, { env });
    expect([status, stderr]).toEqual([1, message]);
  });

  test("warns once where everyone may come in from outside, and nowhere else", async () => {
    const warning = /level=WARN msg="everyone who reaches this address/g;
    const open = setUp("");
    const everywhere = ["--listen-address", "0.0.0.0:0"];
    expect((await start(open, ...everywhere)).log().match(warning)?.length).toBe(1);
    expect((await start(open)).log()).not.toMatch(warning);
    const closed = setUp(`basic_auth_users: {alice: ${hashes.low}}\n`);
    expect((await start(closed, ...everywhere)).log()).not.toMatch(warning);
  });
});

const skip = !needs("openssl", "curl");

describe.skipIf(skip)("TLS", () => {
  function tlsFile(certificate: Certificate, more = ""): string {
    return `tls_server_config:\n  cert_file: ${certificate.cert}\n  key_file: ${certificate.key}\n${more}`;
  }

  /** The subject that openssl is shown in a handshake; undefined if there was none. */
  async function shownSubject(url: string, ...args: string[]): Promise<string | undefined> {
    const { text } = await output("openssl", "s_client", "-connect", new URL(url).host, ...args);
    return /subject=CN = (\S+)/.exec(text)?.[1];
  }

  test("serves curl and the client, shows its certificate to openssl, and keeps min_version", async () => {
    const certificate = selfSigned("first");
    const setup = setUp(tlsFile(certificate, "  min_version: TLS13\n"));
    const { url } = await start(setup);
    expect(url).toStartWith("https://");
    const fetched = await output("curl", "-sS", "--cacert", certificate.cert, `${url}/-/healthy`);
    expect(fetched).toEqual({ status: 0, text: "prombackup-server is healthy.\n" });
    expect(await shownSubject(url)).toBe("first");
    expect(await shownSubject(url, "-tls1_3")).toBe("first");
    expect(await shownSubject(url, "-tls1_2")).toBeUndefined();
    const plain = await output("curl", "-sS", url.replace("https", "http"));
    expect(plain.status).not.toBe(0);
  });

  test("with mutual TLS serves who has a certificate of that authority, and nobody else", async () => {
    const dir = tempDir();
    const authority = selfSigned("authority", dir);
    const client = signedBy(authority, "client", dir);
    const server = selfSigned("server", dir);
    const mutual = `  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ${authority.cert}\n`;
    const setup = setUp(tlsFile(server, mutual));
    const { url, log } = await start(setup, "--listen-address", "0.0.0.0:0");
    expect(log()).not.toContain("level=WARN");
    const at = `${url.replace("0.0.0.0", "127.0.0.1")}/-/healthy`;
    const curl = (...args: string[]) => output("curl", "-sS", "--cacert", server.cert, ...args, at);
    const own = await curl("--cert", client.cert, "--key", client.key);
    expect(own).toEqual({ status: 0, text: "prombackup-server is healthy.\n" });
    expect((await curl()).status).not.toBe(0);
    expect((await curl("--cert", server.cert, "--key", server.key)).status).not.toBe(0);
  });

  test("the next handshakes show a new certificate, and a running download goes on", async () => {
    const [first, second] = [selfSigned("first"), selfSigned("second")];
    const setup = setUp(tlsFile(first), 64 * 1024 * 1024);
    const { url, log, stop } = await start(setup);
    const target = `${url}/api/download?name=${NAME}`;
    const rate = ["--limit-rate", "16M"];
    const download = output(
      "curl",
      "-ksS",
      ...rate,
      "-o",
      "/dev/null",
      "-w",
      "%{size_download}",
      target,
    );
    await until(() => log().includes('path="/api/download?'));
    copyFileSync(second.cert, first.cert);
    await until(() => log().includes("key_file is not the private key"));
    expect(await shownSubject(url)).toBe("first");
    copyFileSync(second.key, first.key);
    // No connection is refused while it changes.
    await until(async () => (await shownSubject(url)) === "second");
    expect(log()).not.toContain('msg="download finished"');
    expect(await download).toEqual({ status: 0, text: String(64 * 1024 * 1024 + 2048) });
    expect(await stop()).toBe(0);
  }, 60_000);

  test("no connection is refused over many new certificates", async () => {
    const pair = [selfSigned("first"), selfSigned("second")];
    const certificate = selfSigned("now");
    const setup = setUp(tlsFile(certificate));
    const { url } = await start(setup);
    const seen = new Map<string, number>();
    let going = true;
    const clients = Array.from({ length: 4 }, async () => {
      while (going) {
        const options = { keepalive: false, tls: { rejectUnauthorized: false } };
        const result = await fetch(`${url}/-/healthy`, options).then(
          (response) => String(response.status),
          (error: unknown) => errorCode(error) ?? String(error),
        );
        seen.set(result, (seen.get(result) ?? 0) + 1);
      }
    });
    for (let i = 0; i < 6; i++) {
      const { cert, key } = pair[i % 2] ?? certificate;
      replace(setup.web, tlsFile({ cert, key }));
      await until(async () => (await shownSubject(url)) === (i % 2 === 0 ? "first" : "second"));
    }
    going = false;
    await Promise.all(clients);
    // One that is open and waits for a request when the certificate changes is closed.
    seen.delete("ECONNRESET");
    expect([...seen.keys()]).toEqual(["200"]);
  }, 60_000);

  test("can't be turned off while the server runs", async () => {
    const setup = setUp(tlsFile(selfSigned("first")));
    const { url, log } = await start(setup);
    replace(setup.web, "");
    await until(() => log().includes("turning TLS on or off takes a restart"));
    expect(await shownSubject(url)).toBe("first");
  });
});
