import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "../../scripts/build.ts";
import { type Origin, run, startServer } from "../support/programs.ts";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

const { dataDir, start, end } = await makeBlocks({ hours: 6, series: 100 });
const prometheus = await startPrometheus({ dataDir });

// GNU tar runs zstd for a tzst.
const FORMATS = needs("zstd") ? ["tar", "tgz", "tzst"] : ["tar", "tgz"];

const QUERIES = [
  "demo_requests_total",
  "demo_temperature_celsius",
  "sum by (room) (rate(demo_requests_total[5m]))",
];

function answers(url: string) {
  return Promise.all(QUERIES.map((query) => queryRange(url, query, start, end, 60)));
}

describe.each(["source", "compiled"] as const)("the main job, from %s", (origin: Origin) => {
  // The compiled programs have to be this source's.
  if (origin === "compiled")
    beforeAll(() => build(join(import.meta.dir, "..", "..", "dist")), 120_000);

  test.each(FORMATS)("%s: created, verified, extracted by tar, queried, pruned", async (format) => {
    const server = await startServer(
      ["--prometheus-endpoint", prometheus.url, "--snapshot-dir", prometheus.snapshotDir],
      { origin },
    );
    const cwd = tempDir();
    const options = { origin, cwd, env: { PROMBACKUP_ENDPOINT: server.url } };
    const created = await run(
      "prombackup",
      ["create", "--format", format, "--output", "backup", "--checksum-file"],
      options,
    );
    expect([created.status, created.stdout, created.stderr]).toEqual([
      0,
      "",
      expect.stringContaining("wrote"),
    ]);
    const verified = await run("prombackup", ["verify", "backup"], options);
    expect([verified.status, verified.stdout, verified.stderr]).toEqual([
      0,
      expect.stringContaining("equal"),
      "",
    ]);

    mkdirSync(join(cwd, "restored"));
    const tar = Bun.spawn(["tar", "xf", "backup", "--strip-components=1", "-C", "restored"], {
      cwd,
    });
    expect(await tar.exited).toBe(0);
    const second = await startPrometheus({ dataDir: join(cwd, "restored") });
    const expected = await answers(prometheus.url);
    expect(expected[0]).toHaveLength(100);
    expect(await answers(second.url)).toEqual(expected);

    const pruned = await run("prombackup", ["prune", "--keep-within", "0"], options);
    expect([pruned.status, pruned.stderr]).toEqual([0, expect.stringContaining("removed")]);
    expect(readdirSync(prometheus.snapshotDir)).toEqual([]);
    expect(await server.stop()).toBe(0);
  });
});

test("the compiled programs tell where they come from", async () => {
  const { stdout } = await run("prombackup", ["--version"], { origin: "compiled" });
  expect(stdout).toMatch(
    /^prombackup \S+ \(commit [0-9a-z-]+, built \d{4}-\S+Z, bun \S+, linux\/\w+\)\n$/,
  );
});

test("a server that was killed leaves nothing that the next one minds", async () => {
  const args = ["--prometheus-endpoint", prometheus.url, "--snapshot-dir", prometheus.snapshotDir];
  const first = await startServer(args);
  const created = await fetch(`${first.url}/api/snapshot`, { method: "POST", redirect: "manual" });
  const { name } = JSON.parse(await created.text());
  await first.stop("SIGKILL");
  const next = await startServer(args);
  const pruned = await fetch(`${next.url}/api/prune`, { method: "POST" });
  expect(await pruned.json()).toMatchObject({ removed: [name] });
});
