import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { type RunningServer, run, startServer } from "../support/programs.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { snapshotDir, start } from "./support.ts";

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

describe("a failure leaves one line in the log", () => {
  test.each(["logfmt", "json"])("as %s", async (format) => {
    const server = await start(snapshotDir(), "--log.format", format);
    await (await fetch(`${server.url}/api/download?name=no-such`)).bytes();
    await (await fetch(`${server.url}/api/snapshot`, { method: "POST" })).bytes();
    const lines = server.log().trim().split("\n").slice(1);
    expect(lines).toHaveLength(2);
    if (format === "logfmt") {
      expect(lines[0]).toMatch(
        /^time=\S+ level=WARN msg=request method=GET path="\S+name=no-such" status=404 peer=127\.0\.0\.1 duration=\S+s error="snapshot not found: no-such"$/,
      );
      expect(lines[1]).toMatch(
        / level=ERROR .* status=500 .* error="Creating snapshot failed: .*"$/,
      );
      return;
    }
    const [refused, failed] = lines.map((line) => JSON.parse(line));
    expect(refused).toMatchObject({
      level: "WARN",
      status: 404,
      peer: "127.0.0.1",
      error: "snapshot not found: no-such",
    });
    expect(failed).toMatchObject({ level: "ERROR", status: 500 });
  });
});

test("at --log_level=error, a server says nothing of what goes well", async () => {
  const args = ["--snapshot-dir", snapshotDir(), "--log_level=error", "--listen-address", "x:1"];
  const { status, stderr } = await run("prombackup-server", args);
  expect([status, stderr]).toEqual([1, expect.not.stringContaining("level=")]);
});
