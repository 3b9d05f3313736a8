import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * How long the server takes to refuse a wrong password and an unknown user, and how long it takes for
 * who is in already while others try passwords: `bun bench/logins.ts [ROUNDS]`, 200 without it.
 */

const ROUNDS = Number(process.argv[2] ?? 200);
const ROOT = join(import.meta.dir, "..");
const dir = mkdtempSync(join(tmpdir(), "prombackup-bench-"));
const snapshots = join(dir, "snapshots");
mkdirSync(snapshots);
const web = join(dir, "web.yml");
const hash = await Bun.password.hash("right", { algorithm: "bcrypt", cost: 10 });
writeFileSync(web, `basic_auth_users: {alice: ${hash}, bob: ${hash}}\n`);

const server = Bun.spawn(
  [
    ...[process.execPath, join(ROOT, "src/server.ts"), "--listen-address", "127.0.0.1:0"],
    ...["--snapshot-dir", snapshots, "--web.config.file", web],
  ],
  { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
);
try {
  const url = `${await listeningUrl()}/api/snapshots`;
  const known: number[] = [];
  const unknown: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    known.push(await time(url, "alice", `wrong${i}`));
    unknown.push(await time(url, `nobody${i}`, `wrong${i}`));
  }
  tell("wrong password", known);
  tell("unknown user", unknown);
  await time(url, "alice", "right");
  const calm: number[] = [];
  for (let i = 0; i < ROUNDS; i++) calm.push(await time(url, "alice", "right"));
  tell("let in, alone", calm);
  let going = true;
  const flood = Array.from({ length: 50 }, async (_, i) => {
    for (let n = 0; going; n++) await time(url, "alice", `wrong${i}-${n}`);
  });
  const flooded: number[] = [];
  for (let i = 0; i < ROUNDS; i++) flooded.push(await time(url, "alice", "right"));
  going = false;
  await Promise.all(flood);
  tell("let in, beside 50 who try passwords", flooded);
} finally {
  server.kill();
  await server.exited;
  rmSync(dir, { recursive: true });
}

async function time(url: string, user: string, password: string): Promise<number> {
  const Authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const before = performance.now();
  const response = await fetch(url, { headers: { Authorization } });
  await response.arrayBuffer();
  return performance.now() - before;
}

function tell(what: string, times: number[]): void {
  times.sort((a, b) => a - b);
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1);
  console.log(`${what}: median ${at(0.5)} ms, 95 % within ${at(0.95)} ms`);
}

async function listeningUrl(): Promise<string> {
  let log = "";
  let url: string | undefined;
  const listening = Promise.withResolvers<string>();
  (async () => {
    for await (const chunk of server.stderr) {
      // The rest is read on and dropped, so that the server is never kept waiting.
      if (url !== undefined) continue;
      log += new TextDecoder().decode(chunk);
      url = /msg=listening address=(\S+)/.exec(log)?.[1];
      if (url !== undefined) listening.resolve(`http://${url}`);
    }
    listening.reject(new Error(`the server ended:\n${log}`));
  })();
  return listening.promise;
}
