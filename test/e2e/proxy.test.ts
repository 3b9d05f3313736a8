import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { startNginx } from "../support/nginx.ts";
import { run, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";

const NAME = "20260101T000000Z-0123456789abcdef";
const USER = "backup:hunter2";
const HASH = await Bun.password.hash("hunter2", { algorithm: "bcrypt", cost: 4 });
const NOWHERE = ["--prometheus-endpoint", "http://127.0.0.1:1"];

function snapshotDir(bytes = 1000): string {
  const dir = join(tempDir(), "snapshots");
  mkdirSync(join(dir, NAME), { recursive: true });
  writeFileSync(join(dir, NAME, "data"), Buffer.alloc(bytes, 7));
  return dir;
}

/** Answers as Prometheus does when it has taken the snapshot that is there. */
const snapshotting = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () => Response.json({ status: "success", data: { name: NAME } }),
});
atEnd(() => snapshotting.stop(true));

describe.skipIf(!needs("nginx", "curl"))("behind nginx, below a path", () => {
  const locations = (to: string) =>
    ["1.0", "1.1"]
      .map(
        (version) =>
          `location /v${version}/ { proxy_pass ${to}/; proxy_http_version ${version}; proxy_buffering off; }`,
      )
      .join("\n");

  test.each(["1.0", "1.1"])("downloads arrive by HTTP/%s, with users too", async (version) => {
    const dir = tempDir();
    const web = join(dir, "web.yml");
    writeFileSync(web, `basic_auth_users: {backup: ${HASH}}\n`);
    const args = [...NOWHERE, "--snapshot-dir", snapshotDir(), "--web.config.file", web];
    const server = await startServer(args);
    const proxy = await startNginx(locations(server.url));
    const at = `${proxy.replace("//", `//${USER}@`)}/v${version}/`;
    const listed = await run("prombackup", ["list", "--server", at]);
    expect([listed.status, listed.stdout]).toEqual([0, expect.stringContaining(NAME)]);
    const target = `${proxy}/v${version}/api/download?name=${NAME}`;
    const user = ["-u", USER];
    const curl = Bun.spawnSync(["curl", "-sSf", "-o", join(dir, "a.tar"), ...user, target]);
    expect([curl.exitCode, curl.stderr.toString()]).toEqual([0, ""]);
    expect(Bun.file(join(dir, "a.tar")).size).toBe(3072);
  });

  test.each(["1.0", "1.1"])("pages of other sites are refused by HTTP/%s, too", async (version) => {
    const server = await startServer([...NOWHERE, "--snapshot-dir", snapshotDir()]);
    const proxy = await startNginx(locations(server.url));
    const prune = async (headers: Record<string, string>) => {
      const url = `${proxy}/v${version}/api/prune?keep_within=900000h`;
      return (await fetch(url, { method: "POST", headers })).status;
    };
    // nginx puts the server's own address in place of the Host, so the Origin of its own page isn't known.
    const Origin = proxy;
    expect(await prune({ Origin, "Sec-Fetch-Site": "same-origin" })).toBe(200);
    expect(await prune({ Origin, "Sec-Fetch-Site": "same-site" })).toBe(403);
    expect(await prune({ Origin: "http://evil.example" })).toBe(403);
    expect(await prune({ Origin })).toBe(403);
    expect(await prune({})).toBe(200);
  });

  test.each(["1.0", "1.1"])("a cut download arrives cut by HTTP/%s", async (version) => {
    const dir = tempDir();
    const snapshots = snapshotDir(256 * 1024 * 1024);
    const server = await startServer([
      ...NOWHERE,
      "--snapshot-dir",
      snapshots,
      "--shutdown-grace",
      "0s",
    ]);
    const proxy = await startNginx(locations(server.url));
    const target = `${proxy}/v${version}/api/download?name=${NAME}`;
    const output = join(dir, "a.tar");
    const curl = Bun.spawn(["curl", "-sS", "--limit-rate", "8M", "-o", output, target], {
      stderr: "pipe",
    });
    await until(() => readdirSync(dir).length > 0 && Bun.file(output).size > 100_000);
    expect(await server.stop()).toBe(0);
    expect([await curl.exited, await curl.stderr.text()]).not.toEqual([0, expect.anything()]);
    expect(Bun.file(output).size).toBeLessThan(256 * 1024 * 1024);
  });

  test.each(["1.0", "1.1"])(
    "a server killed mid-way is a failed create by HTTP/%s",
    async (version) => {
      const dir = tempDir();
      const server = await startServer([
        ...[
          "--prometheus-endpoint",
          snapshotting.url.href,
          "--snapshot-dir",
          snapshotDir(64 << 20),
        ],
        ...["--limit-rate", "8M"],
      ]);
      const proxy = await startNginx(locations(server.url));
      const output = join(dir, "a.tar");
      const args = ["create", "--server", `${proxy}/v${version}/`, "--output", output];
      const creating = run("prombackup", args);
      await until(() => server.log().includes('path="/api/download?'));
      await server.stop("SIGKILL");
      const { status, stderr } = await creating;
      expect([status, stderr]).toEqual([1, expect.any(String)]);
      expect(readdirSync(dir)).toEqual([]);
    },
  );
});
