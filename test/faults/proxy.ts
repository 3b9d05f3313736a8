import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";
import { NAME } from "../e2e/support.ts";
import { atEnd } from "../support/at-end.ts";

/** How a network breaks a connection; `hold`: the server doesn't learn of it either. */
export type Break = "reset" | "end" | "silence" | "hold";

export interface Proxy {
  readonly url: string;
  /** Downloads that went through it so far, broken or not. */
  downloads(): number;
}

/**
 * A network before a server: it breaks the first so many downloads after so many bytes of their answer, and
 * leaves everything else alone.
 */
export async function startProxy(
  target: string,
  { how, after, times = 1 }: { how: Break; after: () => number; times?: number },
): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  let downloads = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    let left = Number.POSITIVE_INFINITY;
    client.on("data", (data) => {
      if (data.toString("latin1").startsWith("GET /api/download?") && downloads++ < times)
        left = after();
      upstream.write(data);
    });
    upstream.on("data", (data: Buffer) => {
      if (left <= 0) return;
      client.write(data.subarray(0, Math.min(left, data.length)));
      left -= data.length;
      if (left <= 0) breakOff(client, upstream, how);
    });
    upstream.on("end", () => left > 0 && client.end());
    upstream.on("close", () => left > 0 && client.end());
    client.on("close", () => upstream.destroy());
  });
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: own } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${own}`, downloads: () => downloads };
}

function breakOff(client: Socket, upstream: Socket, how: Break): void {
  if (how === "reset") client.resetAndDestroy();
  else if (how === "end") client.end();
  else client.pause();
  if (how === "hold") upstream.pause();
  else upstream.destroy();
}

/**
 * Before a server that has no Prometheus: the snapshot that is there stands for one that was taken.
 * All else is the server's own.
 *
 * @param change what becomes of a download's answer
 */
export function fixedSnapshot(
  target: string,
  change: (download: Response) => Response | Promise<Response> = (download) => download,
): string {
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    error: () => new Response("broken on the way", { status: 502 }),
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/api/snapshot") return Response.json({ name: NAME });
      const answer = await fetch(target + pathname + search, { method: request.method });
      return pathname === "/api/download" ? change(answer) : answer;
    },
  });
  atEnd(() => proxy.stop(true));
  return String(proxy.url);
}

/** As {@link fixedSnapshot}, and holds a download up after its first piece, until it is let go on. */
export function pausing(target: string) {
  const paused = Promise.withResolvers<void>();
  const resumed = Promise.withResolvers<void>();
  async function* pieces(answer: Response): AsyncGenerator<Uint8Array> {
    for await (const piece of answer.body ?? []) {
      yield piece;
      paused.resolve();
      await resumed.promise;
    }
  }
  const url = fixedSnapshot(target, (answer) => new Response(pieces(answer), answer));
  return { url, paused: paused.promise, resume: () => resumed.resolve() };
}

/** How a part of a body is sent as if it were the whole: status line and headers, and the body's form. */
export type CleanEnd = (headers: string, part: Uint8Array) => (string | Uint8Array)[];

export const CLEAN_ENDS: Readonly<Record<string, CleanEnd>> = {
  "a last chunk": (headers, part) => [
    `HTTP/1.1 200 OK\r\n${headers}Transfer-Encoding: chunked\r\n\r\n`,
    `${part.length.toString(16)}\r\n`,
    part,
    "\r\n0\r\n\r\n",
  ],
  "a Content-Length of what is there": (headers, part) => [
    `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${part.length}\r\n\r\n`,
    part,
  ],
  "HTTP/1.0, which ends with its connection": (headers, part) => [
    `HTTP/1.0 200 OK\r\n${headers}\r\n`,
    part,
  ],
};

/** A proxy that loses the end of the first so many downloads, from a random byte on, without a sign of it. */
export async function startTruncating(target: string, end: CleanEnd, times = 1): Promise<Proxy> {
  let downloads = 0;
  const server = createServer((client) => {
    client.on("error", () => {});
    client.once("data", async (data) => {
      const [method = "", path = ""] = data.toString("latin1").split(" ");
      const answer = await fetch(new URL(path, target), { method });
      const body = await answer.bytes();
      const cut = path.startsWith("/api/download?") && downloads++ < times;
      const part = cut ? body.subarray(0, 1 + Math.floor(Math.random() * (body.length - 1))) : body;
      answer.headers.delete("Transfer-Encoding");
      answer.headers.delete("Content-Length");
      answer.headers.set("Connection", "close");
      const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}\r\n`);
      for (const piece of end(headers.join(""), part)) client.write(piece);
      client.end();
    });
  });
  atEnd(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, downloads: () => downloads };
}
