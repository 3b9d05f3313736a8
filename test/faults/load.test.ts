import { describe, expect } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { NAME, snapshotDir, start, untilLogged } from "../e2e/support.ts";
import { atEnd } from "../support/at-end.ts";
import { startServer } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";

const MB = 1_000_000;

function peakMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

async function downloadProven(url: string): Promise<"proven" | "refused" | "wrong"> {
  const answer = await fetch(`${url}/api/download?name=${NAME}`);
  if (answer.status === 503) {
    await answer.bytes();
    return answer.headers.has("Retry-After") ? "refused" : "wrong";
  }
  const sha256 = new Bun.CryptoHasher("sha256");
  for await (const chunk of answer.body ?? []) sha256.update(chunk);
  const id = answer.headers.get("X-Prombackup-Download-Id");
  const status = JSON.parse(await (await fetch(`${url}/api/download_status?id=${id}`)).text());
  return status.finished?.sha256_hex === sha256.digest("hex") ? "proven" : "wrong";
}

fault(
  "200 downloads at once, and 10,000 requests for status and metrics meanwhile",
  "as many as --max-downloads are sent and proven, the others answered 503 with Retry-After; all requests are answered; memory grows by less than 300 MiB",
  async () => {
    const server = await start(snapshotDir(30 * MB, "random"), "--max-downloads", "16");
    const before = peakMiB(server.pid);
    const downloads = Array.from({ length: 200 }, () => downloadProven(server.url));
    const asks = async () => {
      for (let i = 0; i < 100; i++) {
        const path = i % 2 === 0 ? "/metrics" : "/api/download_status?id=x";
        const answer = await fetch(server.url + path);
        await answer.bytes();
        expect(answer.status).toBe(i % 2 === 0 ? 200 : 404);
      }
    };
    await Promise.all(Array.from({ length: 100 }, asks));
    const outcomes = await Promise.all(downloads);
    const count = (what: string) => outcomes.filter((outcome) => outcome === what).length;
    expect(count("wrong")).toBe(0);
    expect(count("proven")).toBeGreaterThanOrEqual(16);
    expect(count("refused")).toBeGreaterThan(0);
    expect(peakMiB(server.pid) - before).toBeLessThan(300);
  },
  { timeout: 120_000 },
);

/** Writes to a bare connection until the other side closes it, and tells the answers' first lines. */
async function speak(url: string, write: (send: (text: string) => boolean) => void) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  atEnd(() => void socket.destroy());
  let answer = "";
  socket.on("data", (data) => {
    answer += data.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  write((text) => !socket.destroyed && socket.write(text));
  await closed;
  return { statuses: [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, code]) => code) };
}

const POST =
  "POST /api/prune HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";

describe("a connection", () => {
  const head = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n";
  const oddities: [string, string, (send: (text: string) => boolean) => void, string[]][] = [
    [
      "with 64 KB of headers",
      "431",
      (send) => void send(`${head}X: ${"a".repeat(65_536)}\r\n\r\n`),
      ["431"],
    ],
    [
      "with a query of 64 KB",
      "431",
      (send) =>
        void send(`GET /api/download?name=${"a".repeat(65_536)} HTTP/1.1\r\nHost: x\r\n\r\n`),
      ["431"],
    ],
    [
      "with 1,000 requests at once (pipelined)",
      "all are answered in order",
      (send) =>
        void send(
          [...Array.from({ length: 999 }, () => head), `${head}Connection: close\r\n`, ""].join(
            "\r\n",
          ),
        ),
      Array.from({ length: 1000 }, () => "200"),
    ],
    [
      "with a body of 1 MB",
      "413",
      (send) => void send(`${POST}Content-Length: 1000000\r\n\r\n${"a".repeat(1_000_000)}`),
      ["413"],
    ],
  ];
  for (const [what, holds, write, statuses] of oddities) {
    fault(`a connection ${what}`, holds, async () => {
      const server = await start(snapshotDir());
      expect((await speak(server.url, write)).statuses).toEqual(statuses);
      expect((await fetch(`${server.url}/-/healthy`)).status).toBe(200);
    });
  }

  fault(
    "2,000 connections that say nothing, say half a form, ask once and stay, or send headers a byte at a time",
    "all are closed after some 12 s, requests are served meanwhile, a download of 10 s arrives proven, memory grows by less than 100 MiB",
    async () => {
      const server = await start(snapshotDir(30 * MB, "random"), "--limit-rate", "3M");
      const before = peakMiB(server.pid);
      const kinds: ((send: (text: string) => boolean) => void)[] = [
        () => {},
        (send) => void send(`${POST}Content-Length: 50\r\n\r\nkeep`),
        (send) => void send("GET /api/snapshots HTTP/1.1\r\nHost: x\r\n\r\n"),
        (send) => {
          send(head);
          const timer = setInterval(() => send("X") || clearInterval(timer), 500);
        },
      ];
      const idle = Array.from({ length: 500 }, () =>
        kinds.map((write) => speak(server.url, write)),
      ).flat();
      expect((await fetch(`${server.url}/-/healthy`)).status).toBe(200);
      expect(await downloadProven(server.url)).toBe("proven");
      await Promise.all(idle);
      expect(peakMiB(server.pid) - before).toBeLessThan(100);
    },
  );

  fault(
    "more connections than the server may have descriptors (ulimit -n)",
    "those that say nothing are closed after some 12 s, and the others have their turn; a download that runs is proven, or cut with the reason",
    async () => {
      const dir = snapshotDir(1 * MB, "random");
      for (let i = 0; i < 20; i++) cpSync(join(dir, NAME, "data"), join(dir, NAME, `more${i}`));
      const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
      const args = [...options, "--limit-rate", "5M"];
      const server = await startServer(args, { under: ["prlimit", "--nofile=64"] });
      const download = downloadProven(server.url).catch(() => "cut");
      await untilLogged(server, 'path="/api/download?');
      const { hostname, port } = new URL(server.url);
      const idle = Array.from({ length: 100 }, () => connect(Number(port), hostname));
      for (const socket of idle) socket.on("error", () => {});
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => fetch(`${server.url}/-/healthy`)),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      for (const socket of idle) socket.destroy();
      const outcome = await download;
      if (outcome !== "proven") {
        expect(outcome).toBe("cut");
        await untilLogged(server, /download failed.*too many open files: raise the limit/);
      }
      expect(await downloadProven(server.url)).toBe("proven");
    },
    { skip: !needs("prlimit"), timeout: 120_000 },
  );
});
