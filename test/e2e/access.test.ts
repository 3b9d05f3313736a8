import { describe, expect, test } from "bun:test";
import { selfSigned } from "../support/certificates.ts";
import { run } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { basic, hashes, replace, SECRET, setUp, start, status } from "./access-support.ts";
import { exchange } from "./support.ts";

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

  test("are read from one header, in any of the forms that clients send", async () => {
    const web = `basic_auth_users: {alice: ${hashes.low}, jürgen: ${hashes.low}, "a b": ${hashes.low}}\n`;
    const { url } = await start(setUp(web));
    const { Authorization: right } = basic("alice", SECRET);
    const { Authorization: wrong } = basic("alice", "wrong");
    const line = (value: string | undefined) => `Authorization: ${value}\r\n`;
    const answers: [string, string, string][] = [
      ["right", line(right), "200"],
      [
        "small letters",
        line(right).replace(/^Authorization: Basic/, "authorization: basic"),
        "200",
      ],
      ["UTF-8", line(basic("jürgen", SECRET)["Authorization"]), "200"],
      ["a blank in the name", line(basic("a b", SECRET)["Authorization"]), "200"],
      ["two, the first one right", line(right) + line(wrong), "401"],
      ["two, the second one right", line(wrong) + line(right), "401"],
      ["of a proxy", line(right).replace("Auth", "Proxy-Auth"), "401"],
      ["folded", line(right).replace("Basic", "Basic\r\n"), "400"],
      ["a blank before the colon", line(right).replace(":", " :"), "400"],
      ["without end", line(basic("alice", "x".repeat(20_000))["Authorization"]), "431"],
    ];
    for (const [what, header, code] of answers) {
      const answer = await exchange(
        url,
        `GET /-/healthy HTTP/1.1\r\nHost: x\r\n${header}Connection: close\r\n\r\n`,
      );
      expect([what, answer.split(" ")[1]]).toEqual([what, code]);
    }
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
  });

  test("get an answer however long they wait for it", async () => {
    const slow = await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 14 });
    const { url } = await start(setUp(`basic_auth_users: {alice: ${slow}}\n`));
    const wrong = Array.from({ length: 8 }, (_, i) => status(url, basic("alice", `wrong${i}`)));
    // The last one waits for some ten seconds, which is as long as a connection may be silent.
    expect(await status(url, basic("alice", SECRET))).toBe(200);
    expect(new Set(await Promise.all(wrong))).toEqual(new Set([401]));
  }, 120_000);

  test("the many requests of a client that begins take one check", async () => {
    const { url } = await start(setUp(`basic_auth_users: {alice: ${hashes.usual}}\n`));
    const all = Array.from({ length: 50 }, () => status(url, basic("alice", SECRET)));
    expect(new Set(await Promise.all(all))).toEqual(new Set([200]));
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

  const warning = /level=WARN msg="everyone who reaches this address/g;
  const outside: [string, number][] = [
    ["0.0.0.0:0", 1],
    [":0", 1],
    ["[::]:0", 1],
    ["0:0", 1],
    ["[::1]:0", 0],
    ["[0:0:0:0:0:0:0:1]:0", 0],
    ["[::ffff:127.0.0.1]:0", 0],
    ["127.0.0.2:0", 0],
    ["localhost:0", 0],
  ];
  test.each(outside)("on %s warns %d times that everyone may come in", async (address, times) => {
    const { log } = await start(setUp(""), "--listen-address", address);
    expect(log().match(warning)?.length ?? 0).toBe(times);
  });

  test("warns of TLS without users as well, and of nothing where there are some", async () => {
    const everywhere = ["--listen-address", "0.0.0.0:0"];
    const closed = setUp(`basic_auth_users: {alice: ${hashes.low}}\n`);
    expect((await start(closed, ...everywhere)).log()).not.toMatch(warning);
    if (!needs("openssl")) return;
    const { cert, key } = selfSigned("server");
    for (const more of ["", ", client_auth_type: RequestClientCert"]) {
      const open = setUp(`tls_server_config: {cert_file: ${cert}, key_file: ${key}${more}}\n`);
      expect((await start(open, ...everywhere)).log().match(warning)?.length).toBe(1);
    }
  });
});
