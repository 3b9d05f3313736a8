import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { errorText } from "../src/lib/errors.ts";
import { obtainPrometheus } from "./prometheus.ts";
import { run } from "./run.ts";
import { startPrometheus } from "./run-prometheus.ts";
import { makeBlocks } from "./sample-data.ts";

const DIST = resolve(import.meta.dir, "../dist");
const CLI = join(DIST, "prombackup");
const SERVER = join(DIST, "prombackup-server");

/** Tries the compiled programs, away from the sources. The last line says how many tries passed. */
const checks: Record<string, (directory: string) => Promise<void>> = {
  "--version names the version, the commit and Bun": async (cwd) => {
    for (const program of [CLI, SERVER]) {
      const text = await run([program, "--version"], { cwd });
      expect(/ \d+\.\d+\.\d+ \(commit \S+, built \S+Z, bun \S+, \w+\/\w+\)\n$/.test(text), text);
    }
  },
  "--help names the flags": async (cwd) => {
    const server = await run([SERVER, "--help"], { cwd });
    expect(server.includes("--snapshot-dir"), server);
    const create = await run([CLI, "create", "--help"], { cwd });
    expect(create.includes("--format"), create);
  },
  "an unknown flag is a usage error": async (cwd) => {
    for (const program of [CLI, SERVER]) {
      const child = Bun.spawnSync([program, "--no-such-flag"], { cwd });
      const said = child.stderr.toString();
      expect(child.exitCode === 2 && said.includes("no-such-flag"), `${child.exitCode}: ${said}`);
    }
  },
  "create, verify, restore and prune with a real Prometheus": backUp,
};

async function backUp(cwd: string): Promise<void> {
  const { prometheus: program, promtool } = await obtainPrometheus();
  const directory = join(cwd, "prometheus");
  mkdirSync(directory);
  await makeBlocks(promtool, join(directory, "data"), { hours: 4, series: 5 });
  const prometheus = await startPrometheus({ program, directory });
  const server = Bun.spawn(
    [
      ...[SERVER, "--listen-address", "127.0.0.1:0", "--snapshot-dir", prometheus.snapshotDir],
      ...["--prometheus-endpoint", prometheus.url],
    ],
    { cwd, stdout: "ignore", stderr: "pipe" },
  );
  try {
    const env = { PROMBACKUP_ENDPOINT: await listeningUrl(server.stderr) };
    for (const format of ["tar", "tgz", "tzst"]) {
      const file = `backup.${format}`;
      await run([CLI, "create", "--format", format, "--output", file], { cwd, env });
      await run([CLI, "verify", file], { cwd, env });
      await run([CLI, "restore", file, "--data-dir", `restored-${format}`], { cwd, env });
      const blocks = readdirSync(join(cwd, `restored-${format}`)).length;
      expect(blocks === 3, `${blocks} blocks were restored from ${file}`);
    }
    expect(readdirSync(prometheus.snapshotDir).length === 3, "there are not three snapshots");
    await run([CLI, "prune", "--keep-within", "0"], { cwd, env });
    expect(readdirSync(prometheus.snapshotDir).length === 0, "snapshots are left");
    server.kill("SIGTERM");
    const status = await server.exited;
    expect(status === 0, `the server ended with ${status}`);
  } finally {
    server.kill("SIGKILL");
    await prometheus.stop();
  }
}

async function listeningUrl(log: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  // Not cancelled at the end: the server would find its log closed.
  for await (const chunk of log.values({ preventCancel: true })) {
    text += new TextDecoder().decode(chunk);
    const address = /msg=listening address=(\S+)\n/.exec(text)?.[1];
    if (address) return `http://${address}`;
  }
  throw new Error(`the server ended before it listened: ${text}`);
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(`unexpected: ${otherwise}`);
}

let [passed, failed] = [0, 0];
for (const [name, check] of Object.entries(checks)) {
  const directory = mkdtempSync(join(tmpdir(), "prombackup-smoke-"));
  try {
    expect(existsSync(CLI) && existsSync(SERVER), `no programs in ${DIST}: bun run build`);
    await check(directory);
    passed++;
    console.log(`(pass) ${name}`);
  } catch (error) {
    failed++;
    console.log(`(fail) ${name}: ${errorText(error)}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
console.log(`smoke: ${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
