import { describe, expect } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { fault } from "./fault.ts";
import { canMount, tmpfs } from "./mounts.ts";

const NAME = "20260101T000000Z-0123456789abcdef";
const BODY = new Uint8Array(100_000).fill(7);
const SHA256 = new Bun.CryptoHasher("sha256").update(BODY).digest("hex");

type Answers = Partial<Record<"snapshot" | "download" | "status", () => Response>>;

/** A server that does its work, but for the answers that are given. */
function hostile(answers: Answers): string {
  const sound: Required<Answers> = {
    snapshot: () => Response.json({ name: NAME }),
    download: () => new Response(BODY, { headers: { "X-Prombackup-Download-Id": "x" } }),
    status: () => finished({ success: true, error_text: null, sha256_hex: SHA256 }),
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/api/snapshot") return (answers.snapshot ?? sound.snapshot)();
      if (pathname === "/api/download") return (answers.download ?? sound.download)();
      return (answers.status ?? sound.status)();
    },
  });
  atEnd(() => server.stop(true));
  return String(server.url);
}

function finished(result: object): Response {
  return Response.json({ id: "x", snapshot_name: NAME, finished: result });
}

function endless(headers: Record<string, string> = {}): Response {
  const piece = new Uint8Array(65_536).fill(0x20);
  const body = new ReadableStream({ pull: (controller) => controller.enqueue(piece) });
  return new Response(body, { headers: { "X-Prombackup-Download-Id": "x", ...headers } });
}

/** An answer that is reset when some of it has arrived. */
function brokenOff(): Response {
  let begun = false;
  const body = new ReadableStream({
    async pull(controller) {
      if (begun) await Bun.sleep(100);
      if (begun) controller.error(new Error("reset"));
      else controller.enqueue(new Uint8Array(10).fill(0x20));
      begun = true;
    },
  });
  return new Response(body, { headers: { "X-Prombackup-Download-Id": "x" } });
}

/**
 * Runs a command and prints the most memory that it had, in KiB. A process begins with the peak of the
 * one that started it, and that of the tests is large.
 */
const MEASURED = `
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
`;

/** A create in a directory of its own, within another that must stay as it is. */
async function create(url: string, ...args: string[]) {
  const outer = tempDir();
  const cwd = join(outer, "inner");
  mkdirSync(cwd);
  const created = await createIn(cwd, url, ...args);
  expect(readdirSync(outer)).toEqual(["inner"]);
  return created;
}

async function createIn(cwd: string, url: string, ...args: string[]) {
  const command = commandLine("prombackup", ["create", "--server", url, ...args]);
  const child = Bun.spawn(["python3", "-c", MEASURED, ...command], {
    cwd,
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const stderr = await child.stderr.text();
  const status = await child.exited;
  const peakMiB = Number(await child.stdout.text()) / 1024;
  return { status, stderr, files: readdirSync(cwd), peakMiB };
}

/** A server whose answers don't get beyond their headers. */
function endlessHeaders(): string {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("HTTP/1.1 200 OK\r\n");
    const line = `X-${"a".repeat(1000)}: ${"b".repeat(15_000)}\r\n`;
    const send = () => {
      while (!socket.destroyed && socket.write(line));
    };
    socket.on("drain", send);
    send();
  });
  atEnd(() => void server.close());
  server.listen(0, "127.0.0.1");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a hostile server", () => {
  fault(
    "server names the file with a path, hidden, endless, or with odd characters",
    "a plain name in the current directory, nothing else written",
    async () => {
      const names = [
        ...["../../escaped.tar", "/etc/escaped", "..", ".", ".bashrc", "-rf", "a/../../b", "a\\b"],
        ...["%2e%2e%2fescaped", "\u202egnp.tar", "n".repeat(5000), "a b", "a;b", "", "con\u0007"],
      ];
      for (const name of names) {
        const headers = {
          "X-Prombackup-Download-Id": "x",
          "Content-Disposition": `attachment; filename="${encodeURI(name)}"; filename*=UTF-8''${encodeURIComponent(name)}`,
        };
        const { status, files } = await create(
          hostile({ download: () => new Response(BODY, { headers }) }),
        );
        expect([status, files]).toEqual([0, [expect.stringMatching(/^[A-Za-z0-9][\w.-]*$/)]]);
      }
    },
  );

  fault(
    "server sends more than it announced, without an end",
    "create fails at the first byte too many; nothing is left",
    async () => {
      const download = () => endless({ "X-Prombackup-Archive-Size": "300000" });
      const { status, stderr, files } = await create(hostile({ download }));
      expect([status, stderr, files]).toEqual([
        1,
        expect.stringContaining("goes on after the 300000 bytes that were announced"),
        [],
      ]);
    },
  );

  fault(
    "server sends an archive without an end, and doesn't say how large it is",
    "create fails when the disk is full, having taken less than 400 MiB of memory; nothing is left on it",
    async () => {
      const cwd = tmpfs(20_000_000);
      const { status, stderr, files, peakMiB } = await createIn(
        cwd,
        hostile({ download: () => endless() }),
      );
      expect([status, stderr, files]).toEqual([1, expect.stringContaining("ENOSPC"), []]);
      expect(peakMiB).toBeLessThan(400);
    },
    { skip: !canMount("tmpfs") },
  );

  fault(
    "server sends headers without an end",
    "create fails, having taken less than 400 MiB; nothing is left",
    async () => {
      const { status, stderr, files, peakMiB } = await create(endlessHeaders());
      expect(stderr).toMatch(/^prombackup: [^\n]+\n$/);
      expect([status, files]).toEqual([1, []]);
      expect(peakMiB).toBeLessThan(400);
    },
  );

  for (const which of ["snapshot", "status"] as const) {
    fault(
      `server answers the ${which} without an end`,
      "create fails, having taken less than 400 MiB; nothing is left",
      async () => {
        const { status, stderr, files, peakMiB } = await create(
          hostile({ [which]: () => endless() }),
        );
        expect([status, stderr, files]).toEqual([1, expect.stringContaining("doesn't end"), []]);
        expect(peakMiB).toBeLessThan(400);
      },
    );
  }

  fault(
    "connection is reset within the answer to the snapshot call, the download, or the question for its status",
    "create fails in one line that says so, without advice to programmers; nothing is left",
    async () => {
      for (const [which, message] of [
        ["snapshot", /\/api\/snapshot: the answer broke off: the connection was closed$/],
        ["download", /download x broke off after \d+ bytes: the connection was closed$/],
        ["status", /\/api\/download_status: the answer broke off: the connection was closed$/],
      ] as const) {
        const { status, stderr, files } = await create(hostile({ [which]: brokenOff }));
        expect([status, files]).toEqual([1, []]);
        expect(stderr.trimEnd()).toMatch(message);
      }
    },
  );

  fault(
    "server tells sizes that are none, or wrong ones",
    "those that are none count as unknown; one too large or too small is proven or refused by the bytes",
    async () => {
      for (const [size, expected] of [
        ["-1", 0],
        ["1e999", 0],
        ["NaN", 0],
        ["99999999999999999999", 0],
        ["200000", 0],
        ["99999", 1],
      ] as const) {
        const headers = { "X-Prombackup-Download-Id": "x", "X-Prombackup-Archive-Size": size };
        const { status, files } = await create(
          hostile({ download: () => new Response(BODY, { headers }) }),
        );
        expect([size, status, files.length]).toEqual([size, expected, expected === 0 ? 1 : 0]);
      }
    },
  );

  fault(
    "server puts control characters into its errors",
    "they don't reach the terminal",
    async () => {
      const text = "\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e evil";
      const answers: Answers[] = [
        { snapshot: () => new Response(text, { status: 500 }) },
        { status: () => finished({ success: false, error_text: text, sha256_hex: "" }) },
      ];
      for (const answer of answers) {
        const { status, stderr } = await create(hostile(answer));
        expect(status).toBe(1);
        expect(stderr.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }
    },
  );

  fault(
    "server answers with statuses, types and shapes that it never would",
    "create fails in one line, exit status 1; nothing is left",
    async () => {
      const odd = [
        ...[204, 206, 301, 401, 404, 418, 500, 502].map(
          (status) => () => new Response(status === 204 ? null : "odd", { status }),
        ),
        ...["null", "[]", "{}", '"x"', "0", "", '{"name":null}', '{"name":{}}'].map(
          (json) => () => new Response(json),
        ),
      ];
      for (const answer of odd) {
        for (const which of ["snapshot", "download", "status"] as const) {
          const cwd = tempDir();
          const args = ["create", "--server", hostile({ [which]: answer })];
          const { status, stderr } = await run("prombackup", args, { cwd });
          expect([status, readdirSync(cwd)]).toEqual([1, []]);
          expect(stderr).toMatch(/^prombackup: [^\n]+\n$/);
        }
      }
    },
    { timeout: 300_000 },
  );
});
