import { expect } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { ARCHIVE_FORMATS } from "../../src/archive/format.ts";
import { download, NAME, snapshotDir, start, untilLogged } from "../e2e/support.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { peerNeeds, startPeer } from "./peer.ts";

const skip = !peerNeeds;
const MB = 1_000_000;

function request(version = "1.1", format = "tar"): string {
  return `GET /api/download?name=${NAME}&format=${format} HTTP/${version}\r\nHost: x\r\n\r\n`;
}

/** Sockets that a process has open. */
function sockets(pid: number): number {
  const descriptors = readdirSync(`/proc/${pid}/fd`);
  return descriptors.filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`)).length;
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith("socket:");
  } catch {
    return false; // Closed since it was listed.
  }
}

function peakMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(10);
}

async function prune(server: RunningServer): Promise<unknown> {
  return (await fetch(`${server.url}/api/prune`, { method: "POST" })).json();
}

for (const version of ["1.0", "1.1"]) {
  for (const format of ["tar", "tgz", "tzst"]) {
    fault(
      `client stalls in a ${format} (HTTP/${version})`,
      "cut by a reset after --stall-timeout; the descriptor, the workers and the snapshot are free, and the status says so",
      async () => {
        const args = ["--stall-timeout", "1s", "--compress-threads", "1"];
        const server = await start(snapshotDir(20 * MB, "random"), ...args);
        const before = sockets(server.pid);
        const peer = startPeer(server.url, request(version, format), { most: 10_000 });
        expect(await peer.line()).toStartWith("stalled");
        await untilLogged(server, "stalled: less than 64 KiB were taken within 1s");
        await until(() => sockets(server.pid) <= before);
        await requireFree(server, format, "stalled: less than 64 KiB");
        peer.resume();
        expect(await peer.line()).toStartWith("reset");
      },
      { skip },
    );
  }
}

/** That the only download ended for this reason, and that nothing of it stands in the way of others. */
async function requireFree(server: RunningServer, format: string, reason: string): Promise<void> {
  const record = await (await fetch(`${server.url}/api/downloads`)).json();
  const finished = { success: false, sha256_hex: "", error_text: expect.stringContaining(reason) };
  expect(record).toEqual({ downloads: [expect.objectContaining({ finished })] });
  while (!(await downloads(`${server.url}/api/download?name=${NAME}&format=${format}`)));
  expect(await prune(server)).toMatchObject({ removed: [NAME] });
}

/** Whether all of it came: on a busy machine, this process may itself be a client that stalls. */
function downloads(url: string): Promise<boolean> {
  const whole = fetch(url).then(async (answer) => answer.ok && (await answer.bytes()).length > 0);
  return whole.catch(() => false);
}

const ways: [string, (socket: Socket) => void][] = [
  ["leaves (FIN)", (socket) => socket.destroy()],
  ["leaves (RST)", (socket) => socket.resetAndDestroy()],
  ["closes its sending half", (socket) => socket.end()],
];
for (const [way, leave] of ways) {
  fault(
    `client ${way} in a download`,
    "over at once; the descriptor, the workers and the snapshot are free, and the status says so",
    async () => {
      for (const format of ARCHIVE_FORMATS) {
        const args = ["--stall-timeout", "1h", "--compress-threads", "1"];
        const server = await start(snapshotDir(20 * MB, "random"), ...args);
        const before = sockets(server.pid);
        const { hostname, port } = new URL(server.url);
        const socket = connect(Number(port), hostname);
        socket.on("error", () => {});
        socket.write(request("1.1", format));
        await new Promise((resolve) => socket.once("data", resolve));
        leave(socket);
        await untilLogged(server, "the client closed the connection");
        await until(() => sockets(server.pid) <= before);
        await requireFree(server, format, "the client closed the connection");
        socket.destroy();
        await server.stop();
      }
    },
  );
}

fault(
  "the network is gone (neither FIN nor RST) for clients in a download, and for such as say nothing",
  "those that say nothing are closed after some 12 s, the downloads after --stall-timeout; descriptors and the snapshot are free",
  async () => {
    const dir = snapshotDir(20 * MB, "random");
    const options = ["--prometheus-endpoint", "http://127.0.0.1:1", "--snapshot-dir", dir];
    const args = [...options, "--stall-timeout", "3s"];
    const server = await startServer(args, { under: ["unshare", "--net", ...loopback("up")] });
    const within = ["nsenter", "--net", "--target", String(server.pid)];
    const before = sockets(server.pid);
    const peers = Array.from({ length: 4 }, (_, i) =>
      startPeer(server.url, i % 2 === 0 ? request() : "GET /-/healthy HTTP/1.1\r\n", {
        ...(i % 2 === 0 ? { rate: MB } : {}),
        under: within,
      }),
    );
    expect(peers).toHaveLength(4);
    await until(() => sockets(server.pid) === before + 4);
    await until(() => server.log().split('path="/api/download?').length === 3);
    Bun.spawnSync([...within, ...loopback("down"), "true"]);
    await until(() => server.log().split("download failed").length === 3);
    await until(() => sockets(server.pid) <= before);
    Bun.spawnSync([...within, ...loopback("up"), "true"]);
    const curl = ["curl", "-sS", "-X", "POST", `${server.url}/api/prune`];
    const { stdout } = Bun.spawnSync([...within, ...curl]);
    expect(JSON.parse(stdout.toString())).toMatchObject({ removed: [NAME] });
  },
  { skip: skip || !needs("unshare", "curl") || !canUnshare() },
);

/** A command that switches the loopback interface of its network namespace, and then runs another. */
function loopback(state: "up" | "down"): string[] {
  const program = `
import fcntl, os, socket, struct, sys
request = struct.pack("16sh", b"lo", ${state === "up" ? 1 : 0})
fcntl.ioctl(socket.socket(), 0x8914, request) # SIOCSIFFLAGS
os.execvp(sys.argv[1], sys.argv[1:])`;
  return ["python3", "-c", program];
}

/** Whether this user, on this machine, may have a network of its own. */
function canUnshare(): boolean {
  return Bun.spawnSync(["unshare", "--net", ...loopback("up"), "true"]).exitCode === 0;
}

fault(
  "client takes the archive at a slow, steady pace",
  "not cut, though it asks for nothing new for several times --stall-timeout",
  async () => {
    const server = await start(snapshotDir(6 * MB), "--stall-timeout", "2s");
    const peer = startPeer(server.url, request("1.0"), { rate: MB / 2 });
    expect(await peer.line()).toMatch(/^end 60\d{5}$/);
    await untilLogged(server, "download finished");
  },
  { skip },
);

fault(
  "client stalls when all of the archive is in the system's buffers",
  "the descriptor is free, and the client gets all of it when it goes on",
  async () => {
    const server = await start(snapshotDir(2 * MB), "--stall-timeout", "10s");
    const before = sockets(server.pid);
    const peer = startPeer(server.url, request("1.0"), { most: 1000 });
    expect(await peer.line()).toStartWith("stalled");
    await untilLogged(server, "download finished");
    await until(() => sockets(server.pid) <= before);
    peer.resume();
    expect(await peer.line()).toMatch(/^end 20\d{5}$/);
  },
  { skip },
);

fault(
  "client stalls within the last megabyte",
  "the connection is closed after --stall-timeout, and its descriptor free",
  async () => {
    // What the system's buffers don't take of it stays in the server, which has done its work.
    const server = await start(snapshotDir(4_500_000), "--stall-timeout", "500ms");
    const before = sockets(server.pid);
    const peer = startPeer(server.url, request(), { most: 1000 });
    expect(await peer.line()).toStartWith("stalled");
    await until(() => /download (finished|failed)/.test(server.log()));
    await until(() => sockets(server.pid) <= before);
  },
  { skip },
);

fault(
  "client doesn't take anything of 40 downloads",
  "the peak of memory is 8 MiB for each at the most; all are cut",
  async () => {
    const server = await start(
      snapshotDir(100 * MB),
      ...["--stall-timeout", "3s", "--max-downloads", "40"],
    );
    const before = peakMiB(server.pid);
    // Forty programs take long to start on a busy machine.
    await Promise.all(Array.from({ length: 40 }, () => download(server.url, "1.1")));
    await until(() => server.log().split("download failed").length === 41);
    expect(peakMiB(server.pid) - before).toBeLessThan(40 * 8);
  },
  { skip },
);

fault(
  "more downloads than --max-downloads",
  "503 with Retry-After, before a plan or a snapshot is made; those that run stay correct",
  async () => {
    const server = await start(snapshotDir(50 * MB), "--max-downloads", "2");
    const url = `${server.url}/api/download?name=${NAME}`;
    const running = await Promise.all([fetch(url), fetch(url)]);
    const refused = await Promise.all([
      fetch(url),
      fetch(`${server.url}/api/snapshot`, { method: "POST" }),
    ]);
    for (const answer of refused) {
      expect([answer.status, answer.headers.get("Retry-After")]).toEqual([503, "60"]);
      expect(await answer.text()).toContain("too many downloads at once: 2 run already");
    }
    for (const answer of running) {
      const sha256 = new Bun.CryptoHasher("sha256").update(await answer.bytes()).digest("hex");
      const id = answer.headers.get("X-Prombackup-Download-Id");
      const status = await fetch(`${server.url}/api/download_status?id=${id}`);
      expect(await status.json()).toMatchObject({
        finished: { success: true, sha256_hex: sha256 },
      });
    }
    expect((await fetch(url)).status).toBe(200);
  },
);
