import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { readDownloadStatus, readDownloads } from "../../src/api/contract.ts";
import { ARCHIVE_FORMATS, type ArchiveFormat } from "../../src/archive/format.ts";
import type { RunningServer } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { idOf, NAME, snapshotDir, start } from "./support.ts";

// A thousand downloads, on a machine that may have more to do.
setDefaultTimeout(600_000);

const SIZE = 12_000_000;
const MIB = 2 ** 20;

function pathOf(format: ArchiveFormat): string {
  return `/api/download?name=${NAME}&format=${format}`;
}

async function succeeded(server: RunningServer, id: string): Promise<string> {
  const answer = await fetch(`${server.url}/api/download_status?id=${id}`);
  const { finished } = readDownloadStatus(await answer.json());
  expect(finished).toMatchObject({ success: true });
  return finished?.sha256_hex ?? "";
}

describe.each([1, 3])("with --compress-threads %d", (threads) => {
  test.skipIf(!needs("curl")).each(ARCHIVE_FORMATS)(
    "a slow reader of a %s gets what the server's SHA-256 is of",
    async (format) => {
      const dir = snapshotDir(SIZE, "random");
      const server = await start(dir, "--compress-threads", `${threads}`);
      const curl = ["curl", "-sS", "-i", "--raw", "--limit-rate", "8M"];
      const { stdout } = Bun.spawnSync([...curl, "--http1.0", `${server.url}${pathOf(format)}`]);
      const end = stdout.indexOf("\r\n\r\n");
      const id = idOf(stdout.toString("latin1", 0, end));
      const body = stdout.subarray(end + 4);
      const sha256 = createHash("sha256").update(body).digest("hex");
      expect(sha256).toBe(await succeeded(server, id));
    },
  );
});

/** Takes so many bytes of a download, and leaves. */
function takeSome(server: RunningServer, format: ArchiveFormat, bytes: number): Promise<void> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  let left = bytes;
  socket.on("data", (data) => {
    left -= data.length;
    if (left <= 0) socket.destroy();
  });
  socket.write(`GET ${pathOf(format)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** JavaScriptCore starts and ends these by itself; it cuts their names. */
const OF_THE_ENGINE = /^(JITWorker|HeapHelper|C?ollector Thread|JSCWarmUp|mi-scavenger)$/;

function isOurs(pid: number, thread: string): boolean {
  try {
    return !OF_THE_ENGINE.test(readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim());
  } catch {
    return false; // It has just ended.
  }
}

/** Descriptors, threads and bytes of memory. */
function held({ pid }: RunningServer) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).filter((thread) => isOurs(pid, thread)).length,
    memory: 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]),
  };
}

async function untilNoneRuns(server: RunningServer): Promise<void> {
  for (;;) {
    const answer = await fetch(`${server.url}/api/downloads`, { keepalive: false });
    const downloads = readDownloads(await answer.json());
    if (downloads.every(({ finished }) => finished !== null)) return;
    await Bun.sleep(5);
  }
}

test("a thousand readers that leave at a random byte leave nothing behind", async () => {
  const size = 5_000_000;
  const server = await start(snapshotDir(size, "random"), "--compress-threads", "2");
  const leave = async (count: number) => {
    for (let i = 0; i < count; i += 4) {
      const four = ARCHIVE_FORMATS.concat("tar").map((format) =>
        takeSome(server, format, Math.random() * 1.1 * size),
      );
      await Promise.all(four);
    }
    await untilNoneRuns(server);
  };
  await leave(200);
  const before = held(server);
  await leave(1000);
  // The connection that was asked over is closed when its turn comes.
  while (held(server).descriptors > before.descriptors) await Bun.sleep(5);
  const after = held(server);
  expect(after.threads).toBeLessThanOrEqual(before.threads);
  expect(after.memory).toBeLessThan(before.memory + 48 * MIB);
});

test("--limit-rate holds for all downloads together", async () => {
  const server = await start(snapshotDir(3_000_000, "random"), "--limit-rate", "2M");
  const startedAt = performance.now();
  const bodies = await Promise.all(
    [1, 2].map(async () => (await fetch(`${server.url}${pathOf("tar")}`)).bytes()),
  );
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
  expect(bytes).toBeGreaterThan(6_000_000);
  // But for the first quarter of a second.
  expect(performance.now() - startedAt).toBeGreaterThan((1000 * bytes) / (2 * MIB) - 300);
});
