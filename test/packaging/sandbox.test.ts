import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { type RunningPrometheus, startPrometheus } from "../../scripts/run-prometheus.ts";
import { readCreatedName, readDownloadStatus } from "../../src/api/contract.ts";
import { atEnd } from "../support/at-end.ts";
import { selfSigned } from "../support/certificates.ts";
import { compiledPrograms } from "../support/compiled.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { sandbox } from "./sandbox.ts";
import { readDefaults, readUnit } from "./unit.ts";

const SERVER = "prombackup-server.service";
const CREATE = "prombackup-create.service";
const skip = !needs("systemd-analyze", "python3", "setpriv", "prometheus", "busybox", "unshare");

const HASH = await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 4 });

/** Somebody without rights; undefined where we are that already. */
const UID = process.getuid?.() === 0 ? 65534 : undefined;

interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function finish(command: string[], cwd: string, env = {}): Promise<Finished> {
  const child = Bun.spawn(command, { cwd, env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, stdout, stderr };
}

function ownDirectory(): string {
  const directory = tempDir();
  if (UID !== undefined) chownSync(directory, UID, UID);
  return directory;
}

/** A Prometheus that runs as the same user as the server, as the unit has it. */
async function startPrometheusAsUser(): Promise<RunningPrometheus> {
  const directory = ownDirectory();
  // Copied, since the user may have no way to where it lies.
  const copy = join(directory, "prometheus-program");
  cpSync(findPrometheus("prometheus") ?? "", copy);
  const program = join(directory, "prometheus");
  const asUser = UID ? `setpriv --reuid=${UID} --regid=${UID} --clear-groups ` : "";
  writeFileSync(program, `#!/bin/sh\nexec ${asUser}${copy} "$@"\n`);
  chmodSync(program, 0o755);
  const running = await startPrometheus({ program, directory });
  atEnd(() => running.stop());
  return running;
}

async function startServer(prometheus: RunningPrometheus, settings = {}) {
  const stateDir = ownDirectory();
  const command = [
    ...(await sandbox(SERVER, UID)),
    join(await compiledPrograms(), "prombackup-server"),
  ];
  const env = {
    ...readDefaults(),
    PROMBACKUP_SERVER_SNAPSHOT_DIR: prometheus.snapshotDir,
    PROMBACKUP_SERVER_PROMETHEUS_ENDPOINT: prometheus.url,
    PROMBACKUP_SERVER_LISTEN_ADDRESS: "127.0.0.1:0",
    // As systemd joins what StateDirectory= names.
    STATE_DIRECTORY: `${stateDir}:${prometheus.snapshotDir}`,
    ...settings,
  };
  const child = Bun.spawn(command, { cwd: "/", env, stdout: "ignore", stderr: "pipe" });
  atEnd(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let log = "";
  const decoder = new TextDecoder();
  const address = Promise.withResolvers<string>();
  const logged = (async () => {
    for await (const chunk of child.stderr) {
      log += decoder.decode(chunk, { stream: true });
      const found = /msg=listening address=(\S+)/.exec(log)?.[1];
      if (found) address.resolve(found);
    }
    address.reject(new Error(`the server ended before it listened:\n${log}`));
  })();
  const url = `http://${await address.promise}`;
  const stop = async () => {
    child.kill("SIGTERM");
    await logged;
    return { status: await child.exited, log };
  };
  return { url, pid: child.pid, stateDir, stop, log: () => log };
}

describe("Under the unit's restrictions", () => {
  test.skipIf(skip)("the compiled server takes, serves and prunes a snapshot", async () => {
    const prometheus = await startPrometheusAsUser();
    const server = await startServer(prometheus);
    const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
    expect(status).toContain("NoNewPrivs:\t1");
    expect(status).toContain("Seccomp:\t2");
    if (UID !== undefined) expect(status).toContain(`Uid:\t${UID}\t${UID}`);

    for (const format of ["tar", "tgz", "tzst"]) {
      const taken = await fetch(`${server.url}/api/snapshot`, {
        method: "POST",
        redirect: "manual",
      });
      const name = readCreatedName(await taken.json());
      const download = await fetch(`${server.url}/api/download?format=${format}&name=${name}`);
      expect(download.status).toBe(200);
      const digest = new Bun.CryptoHasher("sha256").update(await download.bytes()).digest("hex");
      const id = download.headers.get("X-Prombackup-Download-Id");
      const answer = await fetch(`${server.url}/api/download_status?id=${id}`);
      const { finished } = readDownloadStatus(await answer.json());
      expect(finished).toMatchObject({ success: true, sha256_hex: digest });
    }
    expect(readdirSync(prometheus.snapshotDir)).toHaveLength(3);

    expect(readdirSync(server.stateDir)).toContain("prombackup.db");
    const pruned = await fetch(`${server.url}/api/prune?keep_within=0`, { method: "POST" });
    expect(pruned.status).toBe(200);
    expect(readdirSync(prometheus.snapshotDir)).toEqual([]);

    const { status: exit, log } = await server.stop();
    expect(log).not.toMatch(/level=(WARN|ERROR)/);
    expect(exit).toBe(0);
  });

  test.skipIf(skip || !needs("openssl"))(
    "the server reads a key of its user's alone, and ExecReload has it read anew",
    async () => {
      const prometheus = await startPrometheusAsUser();
      const directory = ownDirectory();
      const { cert, key } = selfSigned("server", directory);
      const web = join(directory, "web.yml");
      const write = (user: string) =>
        writeFileSync(
          web,
          `tls_server_config: {cert_file: ${cert}, key_file: ${key}}\nbasic_auth_users: {${user}: ${HASH}}\n`,
        );
      write("before");
      for (const path of [web, cert, key]) {
        if (UID !== undefined) chownSync(path, UID, UID);
        chmodSync(path, 0o400);
      }
      const settings = { PROMBACKUP_SERVER_WEB_CONFIG_FILE: web };
      const server = await startServer(prometheus, settings);
      const statusOf = async (user: string) => {
        const response = await fetch(`${server.url.replace("http:", "https:")}/-/healthy`, {
          headers: { Authorization: `Basic ${btoa(`${user}:secret`)}` },
          tls: { ca: readFileSync(cert, "utf8") },
        });
        return response.status;
      };
      expect(await statusOf("before")).toBe(200);
      chmodSync(web, 0o600);
      write("after");
      const [line = ""] = readUnit(SERVER).get("ExecReload") ?? [];
      const command = line.replace("$MAINPID", String(server.pid)).split(" ");
      const reloaded = await finish([...(await sandbox(SERVER, UID)), ...command], directory);
      expect(reloaded).toMatchObject({ status: 0, stderr: "" });
      await until(() => server.log().includes("access configuration read anew"));
      expect([await statusOf("before"), await statusOf("after")]).toEqual([401, 200]);
      expect((await server.stop()).status).toBe(0);
    },
  );

  test.skipIf(skip)(
    "the scheduled create writes a proven archive and keeps no snapshot",
    async () => {
      const prometheus = await startPrometheusAsUser();
      const server = await startServer(prometheus);
      const [line = ""] = readUnit(CREATE).get("ExecStart") ?? [];
      const [, ...args] = line.split(" ");
      const program = join(await compiledPrograms(), "prombackup");
      const directory = ownDirectory();

      const env = { PROMBACKUP_ENDPOINT: server.url };
      const created = await finish(
        [...(await sandbox(CREATE, UID)), program, ...args],
        directory,
        env,
      );
      expect(created).toMatchObject({ status: 0 });
      const archive = readdirSync(directory).find((name) => name.endsWith(".tar.zst")) ?? "";
      expect(readdirSync(directory).sort()).toEqual([archive, `${archive}.sha256`]);
      expect(await finish([program, "verify", archive], directory)).toMatchObject({ status: 0 });
      expect(readdirSync(prometheus.snapshotDir)).toEqual([]);
    },
  );

  test.skipIf(skip)("what the filters refuse is refused", async () => {
    const directory = ownDirectory();
    const file = join(directory, "file");
    writeFileSync(file, "");
    const [uid, gid] = [UID ?? process.getuid?.(), UID ?? process.getgid?.()];
    if (UID !== undefined) chownSync(file, UID, UID);
    const inSandbox = await sandbox(SERVER, UID);
    const run = (...command: string[]) => {
      const [program = "", ...args] = command;
      return finish([...inSandbox, Bun.which(program) ?? program, ...args], directory);
    };
    // Each of them is something that a user without rights may do otherwise.
    expect((await run("chown", `${uid}:${gid}`, file)).stderr).toContain("not permitted");
    expect((await run("unshare", "--user", "true")).stderr).toContain("not permitted");
    expect((await run("busybox", "ip", "link")).stderr).toContain("Address family not supported");
  });
});
