import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";

export const NAME = "20260101T000000Z-0123456789abcdef";

/** A snapshot directory with one snapshot of a file of so many bytes, of a kind. */
export function snapshotDir(bytes = 1000, kind: "equal" | "random" = "equal"): string {
  const dir = join(tempDir(), "snapshots");
  mkdirSync(join(dir, NAME), { recursive: true });
  const data = Buffer.alloc(bytes, 7);
  if (kind === "random") {
    const block = randomBytes(1024 * 1024);
    for (let at = 0; at < bytes; at += block.length) block.copy(data, at);
  }
  writeFileSync(join(dir, NAME, "data"), data);
  return dir;
}

export function start(dir: string, ...args: string[]): Promise<RunningServer> {
  return startServer([
    "--prometheus-endpoint",
    "http://127.0.0.1:1",
    "--snapshot-dir",
    dir,
    ...args,
  ]);
}

/** Asks for a download over a bare connection and reads a little of it; `rest` ends with how it ended. */
export function download(
  url: string,
  version: string,
  name = NAME,
): Promise<{
  started: string;
  rest: Promise<"end" | "reset">;
  resume(): void;
  /** Bytes so far, the head among them. */
  received(): number;
}> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  atEnd(() => void socket.destroy());
  const rest = Promise.withResolvers<"end" | "reset">();
  socket.on("end", () => rest.resolve("end"));
  socket.on("error", () => rest.resolve("reset"));
  let received = 0;
  socket.on("data", (data) => {
    received += data.length;
  });
  socket.write(`GET /api/download?name=${name} HTTP/${version}\r\nHost: x\r\n\r\n`);
  return new Promise((resolve) => {
    socket.once("data", (data) => {
      socket.pause();
      resolve({
        started: data.toString("latin1"),
        rest: rest.promise,
        resume: () => void socket.resume(),
        received: () => received,
      });
    });
  });
}

/** Sends a request as it stands, and tells the whole answer. */
export function exchange(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  atEnd(() => void socket.destroy());
  let answer = "";
  // A server that refuses a request before it has read all of it may reset the connection.
  socket.on("error", () => {});
  socket.on("data", (data) => {
    answer += data.toString("latin1");
  });
  socket.write(request);
  return new Promise((resolve) => socket.once("close", () => resolve(answer)));
}

export function idOf(head: string): string {
  return /X-Prombackup-Download-Id: (\S+)/i.exec(head)?.[1] ?? "";
}

/** What a server logs comes by a pipe of its own, and perhaps later than its answer. */
export async function untilLogged(server: RunningServer, what: string | RegExp): Promise<void> {
  const isThere = () =>
    typeof what === "string" ? server.log().includes(what) : what.test(server.log());
  while (!isThere()) await Bun.sleep(5);
}
