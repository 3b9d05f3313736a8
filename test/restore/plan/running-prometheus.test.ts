import { expect, test } from "bun:test";
import { Prometheus } from "../../../src/prometheus.ts";
import { askPrometheus, isOlder } from "../../../src/restore/plan/running-prometheus.ts";
import { atEnd } from "../../support/at-end.ts";

/** Answers as a Prometheus would whose version or settings those of Debian can't have. */
function fake(flags: Record<string, string>, yaml: string, version: string): Prometheus {
  const data: Record<string, unknown> = {
    flags: { "storage.tsdb.path": "data/", ...flags },
    config: { yaml },
    buildinfo: { version },
    runtimeinfo: { CWD: "/prometheus" },
  };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) => {
      const name = new URL(url).pathname.replace("/api/v1/status/", "");
      return version === "starting"
        ? new Response("Service Unavailable", { status: 503 })
        : Response.json({ status: "success", data: data[name] });
    },
  });
  atEnd(() => server.stop(true));
  return new Prometheus(new URL(server.url));
}

async function ask(...args: Parameters<typeof fake>) {
  const answer = await askPrometheus(fake(...args));
  if (typeof answer !== "object") throw new Error("no answer");
  return answer;
}

const UNSET = { "storage.tsdb.retention.time": "0s", "storage.tsdb.retention.size": "0B" };

test("the configuration file outranks the flags", async () => {
  const yaml = "storage:\n  tsdb:\n    retention:\n      time: 30d\n      size: 1GB\n";
  const { retentionText, retentionSettings, dataDir } = await ask(
    { ...UNSET, "storage.tsdb.retention.time": "5d" },
    yaml,
    "3.11.0",
  );
  expect(retentionText).toBe("30d,1GB");
  expect(retentionSettings.time).toBe("storage.tsdb.retention.time in its configuration file");
  expect(dataDir).toBe("/prometheus/data");
});

test("a flag's value that is shown as the file's is told as both", async () => {
  const { retentionSettings } = await ask(
    { ...UNSET, "storage.tsdb.retention.time": "5d" },
    "storage: { tsdb: { retention: { time: 5d } } }",
    "3.11.0",
  );
  expect(retentionSettings.time).toBe(
    "--storage.tsdb.retention.time on its command line (or storage.tsdb.retention.time in its configuration file)",
  );
});

test("a percentage counts, and nothing set is 15 days", async () => {
  const yaml = "storage: { tsdb: { retention: { percentage: 80 } } }";
  expect((await ask(UNSET, yaml, "3.11.0")).retention.percentage).toBe(80);
  expect((await ask(UNSET, "global: {}", "2.42.0")).retentionText).toBe("15d");
});

test("whether overlapping blocks are merged depends on version and flags", async () => {
  const merges = async (version: string, flags: Record<string, string>) =>
    (await ask({ ...UNSET, ...flags }, "", version)).mergesOverlaps;
  expect(await merges("2.38.0", {})).toBe(false);
  expect(await merges("2.38.0", { "storage.tsdb.allow-overlapping-blocks": "true" })).toBe(true);
  expect(await merges("2.39.0", {})).toBe(true);
  const never = { "storage.tsdb.allow-overlapping-compaction": "false" };
  expect(await merges("3.5.0", never)).toBe(false);
});

test("one that starts, and none", async () => {
  expect(await askPrometheus(fake({}, "", "starting"))).toBe("starting");
  expect(await askPrometheus(new Prometheus(new URL("http://127.0.0.1:1/")))).toBeUndefined();
});

test.each([
  ["2.42.0+ds", [2, 43], true],
  ["2.42.0", [2, 42], false],
  ["v3.0.0-rc.1", [2, 42], false],
  ["", [2, 42], false],
] as const)("%j is older than %p: %p", (version, than, expected) => {
  expect(isOlder(version, than)).toBe(expected);
});
