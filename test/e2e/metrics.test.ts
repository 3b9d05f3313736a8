import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../scripts/free-port.ts";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { readDownloads } from "../../src/api/contract.ts";
import {
  cleanEnvironment,
  commandLine,
  type RunningServer,
  startServer,
} from "../support/programs.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { download, NAME, snapshotDir, start, untilLogged } from "./support.ts";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

async function metricsOf(server: RunningServer): Promise<string> {
  return (await fetch(`${server.url}/metrics`)).text();
}

/** Takes a snapshot, downloads it, fails with both once, and prunes. */
async function work({ url }: RunningServer): Promise<void> {
  const taken = await fetch(`${url}/api/snapshot`, { method: "POST", redirect: "manual" });
  const { name } = JSON.parse(await taken.text());
  await (await fetch(`${url}/api/download?format=tzst&name=${name}`)).bytes();
  await (await fetch(`${url}/api/download?name=no-such`)).bytes();
  await (await fetch(`${url}/api/prune`, { method: "POST" })).bytes();
}

test("all work is counted, the times of success survive a restart, and promtool is content", async () => {
  const prometheus = await startPrometheus();
  const options = ["--prometheus-endpoint", prometheus.url];
  options.push("--snapshot-dir", prometheus.snapshotDir, "--state-dir", tempDir());
  const first = await startServer(options);
  await work(first);
  const text = await metricsOf(first);
  for (const line of [
    'prombackup_downloads_total{format="tzst",result="success"} 1',
    'prombackup_downloads_total{format="tar",result="failure"} 0',
    'prombackup_download_duration_seconds_count{format="tzst"} 1',
    'prombackup_download_duration_seconds_bucket{format="tzst",le="+Inf"} 1',
    "prombackup_downloads_in_progress 0",
    'prombackup_snapshot_creations_total{result="success"} 1',
    'prombackup_prunes_total{result="success"} 1',
    "prombackup_pruned_snapshots_total 1",
    "prombackup_verification_failures_total 0",
    'prombackup_http_requests_total{route="/api/download",code="200"} 1',
    'prombackup_http_requests_total{route="/api/download",code="404"} 1',
    "prombackup_snapshots 0",
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect(text).toMatch(/^prombackup_download_bytes_total\{format="tzst"\} [1-9]\d+$/m);
  expect(text).not.toContain("prombackup_snapshot_oldest");
  const success = /^prombackup_last_success_timestamp_seconds\{.*$/gm;
  const times = text.match(success);
  expect(times).toHaveLength(3);

  await first.stop("SIGKILL");
  const second = await startServer(options);
  expect((await metricsOf(second)).match(success)).toEqual(times);
});

test.skipIf(!needs("promtool"))(
  "promtool finds nothing but the Go program's own name odd",
  async () => {
    const server = await start(snapshotDir());
    const text = await metricsOf(server);
    const check = Bun.spawnSync([findPrometheus("promtool") ?? "", "check", "metrics"], {
      stdin: new Blob([text]),
    });
    const said = check.stdout.toString() + check.stderr.toString();
    expect(said.trim().split("\n")).toEqual([
      expect.stringContaining("prombackup_server_download_tracked_count"),
    ]);
  },
);

test("the snapshots' figures are told, and left out while they can't be read", async () => {
  const dir = snapshotDir(1000);
  const server = await start(dir);
  const text = await metricsOf(server);
  expect(text).toContain("prombackup_snapshots 1\n");
  expect(text).toContain("prombackup_snapshots_bytes 1000\n");
  expect(text).toContain(`prombackup_snapshot_oldest_timestamp_seconds ${Date.UTC(2026) / 1000}\n`);
  rmSync(dir, { recursive: true });
  await Bun.write(dir, "no directory any more");
  const other = await (await fetch(`${server.url}/api/snapshots`)).text();
  expect(other).toContain("not a directory");
  expect(await metricsOf(server)).toContain("prombackup_server_build_info");
});

/** The fields of the lines of a log that tell of a failure, in either format. */
function failures(server: RunningServer, format: string): Record<string, unknown>[] {
  const lines = server.log().trim().split("\n");
  const fields = lines.map((line) => (format === "json" ? JSON.parse(line) : fromLogfmt(line)));
  return fields.filter(({ level }) => level !== "INFO");
}

function fromLogfmt(line: string): Record<string, unknown> {
  const pairs = line.matchAll(/([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^ "]+))(?: |$)/g);
  return Object.fromEntries(
    [...pairs].map(([, key = "", quoted, plain]) => [
      key,
      quoted === undefined ? plain : JSON.parse(`"${quoted}"`),
    ]),
  );
}

describe.each(["logfmt", "json"])("a failure leaves one line in the log, as %s:", (format) => {
  const seconds = expect.stringMatching(/^\d+\.\d{3}s$/);

  test("a request", async () => {
    const server = await start(snapshotDir(), "--log.format", format);
    const path = "/api/download?name=no-such";
    await (await fetch(server.url + path)).bytes();
    await (await fetch(`${server.url}/api/snapshot`, { method: "POST" })).bytes();
    await untilLogged(server, "Creating snapshot failed");
    const request = { time: expect.any(String), msg: "request", peer: "127.0.0.1" };
    const told = failures(server, format).map((each) => ({
      ...each,
      status: Number(each["status"]),
    }));
    expect(told).toEqual([
      {
        ...{ ...request, level: "WARN", method: "GET", path, status: 404, duration: seconds },
        error: "snapshot not found: no-such",
      },
      {
        ...{ ...request, level: "ERROR", method: "POST", path: "/api/snapshot", status: 500 },
        ...{ duration: seconds, error: expect.stringContaining("Creating snapshot failed: ") },
      },
    ]);
  });

  /** What fails in a download, and how many bytes have been made by then. */
  const downloads: [string, (server: RunningServer, dir: string) => Promise<void>, number][] = [
    [
      "a download that fails at its start",
      async (server, dir) => {
        mkdirSync(join(dir, NAME, ULID));
        const answer = await fetch(`${server.url}/api/download?name=${NAME}`);
        expect([answer.status, await answer.text()]).toEqual([
          500,
          expect.stringContaining(`its block ${ULID} has no meta.json`),
        ]);
      },
      0,
    ],
    [
      "a download that fails half-way",
      async (server, dir) => {
        cpSync(join(dir, NAME, "data"), join(dir, NAME, "later"));
        const running = await download(server.url, "1.1");
        rmSync(join(dir, NAME, "later"));
        running.resume();
        expect(await running.rest).toBe("reset");
      },
      19_000_000,
    ],
    [
      "a download whose client leaves",
      async (server) => {
        const leaving = new AbortController();
        const { signal } = leaving;
        await fetch(`${server.url}/api/download?name=${NAME}`, { signal });
        leaving.abort();
      },
      500_000,
    ],
  ];
  test.each(downloads)("%s", async (_, fail, bytes) => {
    const dir = snapshotDir(20_000_000, "random");
    const server = await start(dir, "--log.format", format);
    await fail(server, dir);
    await untilLogged(server, "download failed");
    const answer = await fetch(`${server.url}/api/downloads`);
    const [status] = readDownloads(await answer.json());
    const [line, ...more] = failures(server, format);
    expect(more).toEqual([]);
    expect({ ...line, bytes: Number(line?.["bytes"]) }).toEqual({
      ...{ time: expect.any(String), level: "ERROR", msg: "download failed" },
      ...{ id: status?.id, snapshot: NAME, format: "tar", peer: "127.0.0.1", duration: seconds },
      ...{ bytes: expect.any(Number), error: status?.finished?.error_text },
    });
    expect(Number(line?.["bytes"])).toBeGreaterThanOrEqual(bytes);
    const count = 'prombackup_downloads_total{format="tar",result="failure"} 1\n';
    expect(await metricsOf(server)).toContain(count);
  });
});

test("at --log.level=error, the log tells of failures of ours alone", async () => {
  const dir = snapshotDir();
  // That it listens, it doesn't say either.
  const address = `127.0.0.1:${freePort()}`;
  const url = `http://${address}`;
  const args = ["--snapshot-dir", dir, "--log.level=error", "--listen-address", address];
  const child = Bun.spawn(commandLine("prombackup-server", args), {
    env: cleanEnvironment(),
    stdout: "ignore",
    stderr: "pipe",
  });
  await until(() =>
    fetch(`${url}/-/healthy`).then(
      (answer) => answer.ok,
      () => false,
    ),
  );
  for (const path of [`/api/download?name=${NAME}`, "/api/download?name=no-such", "/none"])
    await (await fetch(url + path)).bytes();
  await (await fetch(`${url}/api/snapshot`, { method: "POST" })).bytes();
  child.kill();
  expect(await child.stderr.text()).toMatch(/^time=\S+ level=ERROR [^\n]+\n$/);
});
