import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { errorCode } from "../../src/lib/errors.ts";
import { ANOTHER_USER, AS_ANOTHER } from "../support/another-user.ts";
import { atEnd } from "../support/at-end.ts";
import { selfSigned } from "../support/certificates.ts";
import { compiledPrograms } from "../support/compiled.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import {
  basic,
  hashes,
  NAME,
  output,
  replace,
  SECRET,
  setUp,
  start,
  status,
} from "./access-support.ts";
import { untilLogged } from "./support.ts";

/** The subject of the certificate that openssl is shown. */
async function shown(url: string): Promise<string | undefined> {
  const { text } = await output("openssl", "s_client", "-connect", new URL(url).host);
  return /subject=CN = (\S+)/.exec(text)?.[1];
}

function descriptors({ pid }: RunningServer): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

describe.skipIf(!needs("openssl"))("a certificate", () => {
  test("that a link leads to changes with the link, as certbot and Kubernetes do it", async () => {
    const dir = tempDir();
    // Kubernetes: cert.crt → ..data/cert.crt, ..data → ..1, and a new ..data takes its place.
    const publish = (version: string) => {
      mkdirSync(join(dir, version));
      const { cert, key } = selfSigned(version, tempDir());
      cpSync(cert, join(dir, version, "cert.crt"));
      cpSync(key, join(dir, version, "cert.key"));
      symlinkSync(version, join(dir, "..new"));
      renameSync(join(dir, "..new"), join(dir, "..data"));
    };
    publish("one");
    for (const file of ["cert.crt", "cert.key"]) symlinkSync(join("..data", file), join(dir, file));
    const setup = setUp(
      `tls_server_config: {cert_file: ${join(dir, "cert.crt")}, key_file: ${join(dir, "cert.key")}}\n`,
    );
    const { url, log } = await start(setup);
    expect(await shown(url)).toBe("one");
    publish("two");
    rmSync(join(dir, "one"), { recursive: true });
    await until(async () => (await shown(url)) === "two");
    // certbot: the links themselves are replaced, one after the other.
    const { cert, key } = selfSigned("three", tempDir());
    for (const [file, target] of Object.entries({ "cert.crt": cert, "cert.key": key })) {
      symlinkSync(target, join(dir, "new"));
      renameSync(join(dir, "new"), join(dir, file));
    }
    await until(async () => (await shown(url)) === "three");
    const times = () => log().match(/read anew/g)?.length ?? 0;
    await until(() => times() >= 2);
    expect(times()).toBe(2);
  });

  test.skipIf(!needs("prlimit"))(
    "that couldn't be read for want of descriptors is taken when there are some again",
    async () => {
      const { cert, key } = selfSigned("before");
      const setup = setUp(`tls_server_config: {cert_file: ${cert}, key_file: ${key}}\n`);
      const server = await startServer(
        [
          ...["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", setup.snapshots],
          ...["--web.config.file", setup.web],
        ],
        { under: ["prlimit", "--nofile=60:60"] },
      );
      const { port } = new URL(server.url);
      const sockets = Array.from({ length: 80 }, () => {
        const socket = connect(Number(port), "127.0.0.1");
        socket.on("error", () => {});
        atEnd(() => void socket.destroy());
        return socket;
      });
      await until(() => descriptors(server) >= 60);
      const after = selfSigned("after");
      cpSync(after.cert, cert);
      cpSync(after.key, key);
      await until(() => /configuration is broken.*EMFILE/.test(server.log()));
      for (const socket of sockets) socket.destroy();
      await until(async () => (await shown(server.url)) === "after");
      await untilLogged(server, "in order again");
    },
  );
});

describe("a file that can't be read", () => {
  test("any more changes nothing, whatever stands in its place", async () => {
    const content = `basic_auth_users: {alice: ${hashes.low}}\n`;
    const setup = setUp(content);
    const { url, log } = await start(setup);
    const inItsPlace: [string, () => unknown][] = [
      ["it is not there", () => {}],
      ["it is a directory", () => mkdirSync(setup.web)],
      ["it is a pipe", () => Bun.spawnSync(["mkfifo", setup.web])],
      ["it is neither a file nor a pipe", () => symlinkSync("/dev/zero", setup.web)],
      ["it is over 1 MiB", () => writeFileSync(setup.web, Buffer.alloc(2 << 20, "a"))],
      ["no users are left", () => writeFileSync(setup.web, "")],
    ];
    for (const [message, make] of inItsPlace) {
      rmSync(setup.web, { recursive: true });
      make();
      expect(await status(url, basic("alice", SECRET))).toBe(200);
      expect(await status(url)).toBe(401);
      await until(() => log().includes(message));
      rmSync(setup.web, { recursive: true, force: true });
      replace(setup.web, content);
    }
  });

  test.skipIf(process.getuid?.() !== 0 || !needs("setpriv"))(
    "by the server's user is refused at the start, and changes nothing later",
    async () => {
      const setup = setUp(`basic_auth_users: {alice: ${hashes.low}}\n`);
      for (const path of [setup.dir, setup.snapshots, setup.web]) {
        chownSync(path, ANOTHER_USER, ANOTHER_USER);
      }
      chmodSync(setup.web, 0);
      const args = ["--snapshot-dir", setup.snapshots, "--web.config.file", setup.web];
      // A program of its own: the user may have no way to where the sources lie.
      const other = { under: AS_ANOTHER, origin: { directory: await compiledPrograms() } };
      const refused = await startServer(args, other).then(undefined, String);
      expect(refused).toContain("can't be read: the user that this runs as has no right to");
      chmodSync(setup.web, 0o400);
      const { url, log } = await startServer(args, other);
      chmodSync(setup.web, 0);
      expect(await status(url, basic("alice", SECRET))).toBe(200);
      expect(await status(url, basic("alice", "wrong"))).toBe(401);
      await until(() => log().includes("has no right to"));
      chmodSync(setup.web, 0o400);
      await until(() => log().includes("in order again"));
    },
  );
});

describe("a configuration that a pipe holds", () => {
  test("is read once, and stays", async () => {
    const setup = setUp("");
    const rights = join(setup.dir, "access.yml");
    writeFileSync(rights, "users: {alice: [read]}\n");
    const server = await startServer(
      [
        ...["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", setup.snapshots],
        ...["--web.config.file", "/dev/fd/9", "--access-file", rights],
      ],
      {
        under: ["bash", "-c", 'exec "$@" 9< <(sleep 0.2; printf %s "$CONFIG")', "bash"],
        env: { CONFIG: `basic_auth_users: {alice: ${hashes.low}}` },
      },
    );
    const prune = () =>
      fetch(`${server.url}/api/prune?keep_within=9999h`, {
        method: "POST",
        headers: basic("alice", SECRET),
      });
    expect((await prune()).status).toBe(403);
    replace(rights, "users: {alice: [prune]}\n");
    expect((await prune()).status).toBe(200);
    expect(await status(server.url)).toBe(401);
    expect(server.log()).not.toContain("level=ERROR");
  });
});

describe.skipIf(!needs("openssl", "curl"))("under load", () => {
  test("users and certificates change: nobody is in who shouldn't be, nothing is left open", async () => {
    const certificates = [selfSigned("first"), selfSigned("second")];
    const passwords = await Promise.all(
      ["a", "b", "c"].map(async (password) => ({
        password,
        hash: await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 }),
      })),
    );
    const config = (i: number) => {
      const { cert, key } = certificates[i % 2] ?? {};
      return `tls_server_config: {cert_file: ${cert}, key_file: ${key}}
basic_auth_users: {alice: ${hashes.low}, rotating: ${passwords[i % 3]?.hash}}
`;
    };
    const setup = setUp(config(0), 32 * 1024 * 1024);
    const server = await start(setup);
    const { url, log } = server;
    const curl = ["curl", "-ksS", "-u", `alice:${SECRET}`, "-o", "/dev/null"];
    // By its end, the thread that is started with the server is there.
    await output(...curl, `${url}/api/download?name=${NAME}&format=tgz`);
    const before = descriptors(server);
    const download = output(
      ...[...curl, "--limit-rate", "6M", "-w", "%{size_download}"],
      `${url}/api/download?name=${NAME}`,
    );
    await until(() => log().split('path="/api/download?').length === 3);
    const ask = (user: string, password: string) =>
      fetch(`${url}/-/healthy`, {
        headers: basic(user, password),
        keepalive: false,
        tls: { rejectUnauthorized: false },
      }).then(
        (response) => String(response.status),
        (error: unknown) => errorCode(error) ?? String(error),
      );
    const seen = { alice: new Set<string>(), mallory: new Set<string>() };
    let going = true;
    const clients = (["alice", "alice", "mallory"] as const).map(async (user) => {
      while (going) seen[user].add(await ask(user, SECRET));
    });
    for (let i = 1; i <= 40; i++) {
      replace(setup.web, config(i));
      await until(() => log().split("read anew").length === i + 1);
      const [old, now] = [i + 2, i].map((n) => passwords[n % 3]?.password ?? "");
      expect(await ask("rotating", old ?? "")).toBe("401");
      expect(await ask("rotating", now ?? "")).toBe("200");
    }
    going = false;
    await Promise.all(clients);
    // One that is in its handshake when the certificate changes is closed.
    for (const statuses of Object.values(seen)) statuses.delete("ECONNRESET");
    expect([[...seen.alice], [...seen.mallory]]).toEqual([["200"], ["401"]]);
    expect(await download).toEqual({ status: 0, text: String(32 * 1024 * 1024 + 2048) });
    await until(() => descriptors(server) <= before);
  });
});
