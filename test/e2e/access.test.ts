import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../support/programs.ts";
import { until } from "../support/until.ts";
import { basic, hashes, NAME, replace, SECRET, setUp, start, status } from "./access-support.ts";

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

  test("are named in the log once they are known, and refusals are counted", async () => {
    const { url, log } = await start(setUp(`basic_auth_users: {alice: ${hashes.low}}\n`));
    expect(await status(`${url}/api/snapshots`, basic("mallory", "guess"))).toBe(401);
    expect(await status(`${url}/api/snapshots`, basic("alice", SECRET))).toBe(200);
    await until(() => / path=\/api\/snapshots status=200 .*user=alice/.test(log()));
    // Who mistakes the fields types a password there.
    expect(log()).not.toContain("mallory");
    const metrics = await fetch(`${url}/metrics`, { headers: basic("alice", SECRET) });
    expect(await metrics.text()).toContain(
      'prombackup_http_requests_total{route="/api/snapshots",code="401"} 1\n',
    );
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
    replace(setup.web, "");
    expect(await status(url)).toBe(401);
    await until(() => log().includes("letting everyone in takes a restart"));
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
    replace(file, "");
    expect(await status(`${url}/api/download?name=${NAME}`, basic("reader", SECRET))).toBe(403);
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

  test("isn't undone by SIGHUP, which has the files read", async () => {
    const setup = setUp(`basic_auth_users: {alice: ${hashes.low}}\n`);
    const { pid, log, stop } = await start(setup);
    replace(setup.web, `basic_auth_users: {bob: ${hashes.low}}\n`);
    process.kill(pid, "SIGHUP");
    await until(() => log().includes("read anew"));
    expect(await stop()).toBe(0);
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
