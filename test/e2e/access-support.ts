import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";

export const NAME = "20260101T000000Z-0123456789abcdef";
export const SECRET = "correct horse";
// Bun's and Apache's own: $2b$ and $2y$.
export const hashes = {
  low: await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 4 }),
  usual: await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 10 }),
};

export interface Setup {
  readonly dir: string;
  readonly web: string;
  readonly snapshots: string;
}

/** A snapshot of so many bytes, and a web configuration file. */
export function setUp(webConfig: string, bytes = 1000): Setup {
  const dir = tempDir();
  const setup = { dir, web: join(dir, "web.yml"), snapshots: join(dir, "snapshots") };
  mkdirSync(join(setup.snapshots, NAME), { recursive: true });
  writeFileSync(join(setup.snapshots, NAME, "data"), Buffer.alloc(bytes, 7));
  writeFileSync(setup.web, webConfig);
  return setup;
}

export function start(setup: Setup, ...args: string[]): Promise<RunningServer> {
  const { snapshots, web } = setup;
  const endpoint = ["--prometheus-endpoint", "http://127.0.0.1:1"];
  return startServer([...endpoint, "--snapshot-dir", snapshots, "--web.config.file", web, ...args]);
}

/** Puts a file in the place of another in one step, as careful tools do. */
export function replace(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}

export function basic(user: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

export async function status(url: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(url, { headers, keepalive: false });
  await response.body?.cancel();
  return response.status;
}

export async function output(...command: string[]): Promise<{ status: number; text: string }> {
  const child = Bun.spawn(["timeout", "60", ...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, text: out + err };
}
