import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { makeRandomWalk } from "../../scripts/random-walk.ts";
import { isUlid } from "../../src/tsdb/meta.ts";
import { atEnd } from "../support/at-end.ts";
import { compiledPrograms } from "../support/compiled.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { untilLogged } from "./support.ts";

const NAME = "20260101T000000Z-0123456789abcdef";
const FORMATS = ["tar", "tgz", "tzst"] as const;

// Segments of more than 1 MiB: the threads that compress read these by themselves if nobody checks.
const dataDir = tempDir();
const walk = { dataDir, hours: 6, series: 500, stepSeconds: 15, kind: "dense" } as const;
await makeRandomWalk(findPrometheus("promtool") ?? "", walk);
const blocks = readdirSync(dataDir).filter(isUlid).sort();
const sound = snapshotOf();
const plain = await start(sound);
const checking = await start(sound, "--verify-downloads");

/** A snapshot directory with these blocks; of a damaged one, a bit of its segment is turned. */
function snapshotOf(damaged?: number): string {
  const dir = join(tempDir(), "snapshots");
  mkdirSync(join(dir, NAME), { recursive: true });
  for (const block of blocks) {
    cpSync(join(dataDir, block), join(dir, NAME, block), {
      recursive: true,
      preserveTimestamps: true,
    });
  }
  if (damaged !== undefined) flip(join(dir, NAME, blocks[damaged] ?? "", "chunks/000001"));
  return dir;
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  rmSync(file);
  writeFileSync(file, bytes);
}

function start(dir: string, ...args: string[]): Promise<RunningServer> {
  const places = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
  return startServer([...places, ...args]);
}

describe.each(FORMATS)("with --verify-downloads, as %s", (format) => {
  test("a sound snapshot is sent as it is without", async () => {
    const sent = await download(checking, format);
    expect(sent).toEqual({ ...(await download(plain, format)), id: sent.id });
    const status = await statusOf(checking, sent.id);
    expect(status).toMatchObject({ success: true, sha256_hex: sent.sha256 });
  });

  test.each([
    ["first", 0],
    ["last", blocks.length - 1],
  ])("a damaged %s block breaks the download off, and its status tells the place", async (_, n) => {
    const dir = snapshotOf(n);
    const server = await start(dir, "--verify-downloads");
    for (const times of [1, 2]) {
      const { id, sha256 } = await download(server, format);
      expect(sha256).toBeUndefined();
      const place = `the snapshot is damaged: block ${blocks[n]}, chunks/000001, offset `;
      const { error_text } = await statusOf(server, id);
      expect(error_text).toStartWith(place);
      expect(error_text).toMatch(/checksum is .*; in Prometheus: queries fail; restore this block/);
      await untilLogged(server, `msg="download failed" id=${id}`);
      await untilLogged(server, place);
      expect(await failures(server)).toBe(times);
    }
    expect((await download(await start(dir), format)).sha256).toBeString();
  });
});

test("clients that stall or leave hold up no other", async () => {
  const stalled = await Promise.all(
    Array.from({ length: 6 }, () =>
      fetch(`${checking.url}/api/download?name=${NAME}&format=tar`, { keepalive: false }),
    ),
  );
  for (const format of FORMATS) expect((await download(checking, format)).sha256).toBeString();
  await Promise.all(stalled.map((response) => response.body?.cancel()));
  expect((await download(checking, "tgz")).sha256).toBeString();
  expect(await failures(checking)).toBe(0);
});

test("it works compiled, and by its variable", async () => {
  const program = join(await compiledPrograms(), "prombackup-server");
  const places = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", snapshotOf(1)];
  const child = Bun.spawn([program, "--listen-address", "127.0.0.1:0", ...places], {
    env: { PROMBACKUP_SERVER_VERIFY_DOWNLOADS: "true" },
    stderr: "pipe",
  });
  atEnd(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let log = "";
  let address: string | undefined;
  for await (const chunk of child.stderr) {
    log += Buffer.from(chunk).toString();
    address = /msg=listening address=(\S+)/.exec(log)?.[1];
    if (address !== undefined) break;
  }
  const compiled = { url: `http://${address}` };
  expect((await download(compiled, "tar")).sha256).toBeUndefined();
  expect(await failures(compiled)).toBe(1);
});

/** Its digest is undefined if the download broke off. */
async function download({ url }: Pick<RunningServer, "url">, format: string) {
  const response = await fetch(`${url}/api/download?name=${NAME}&format=${format}`, {
    keepalive: false,
  });
  expect(response.status).toBe(200);
  const id = response.headers.get("X-Prombackup-Download-Id") ?? "";
  const hasher = new Bun.CryptoHasher("sha256");
  try {
    for await (const chunk of response.body ?? []) hasher.update(chunk);
  } catch {
    return { id, sha256: undefined };
  }
  return { id, sha256: hasher.digest("hex") };
}

async function statusOf({ url }: RunningServer, id: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/api/download_status?id=${id}`);
  return Object(await response.json()).finished;
}

async function failures({ url }: Pick<RunningServer, "url">): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^prombackup_verification_failures_total (\d+)$/m.exec(metrics)?.[1]);
}
