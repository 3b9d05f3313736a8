import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { makeBlocks, queryRange, startPrometheus } from "../support/prometheus.ts";
import { needs } from "../support/tools.ts";

const skip = !needs("prometheus", "promtool");

test.skipIf(skip)("a real Prometheus answers from made blocks and from its own head", async () => {
  const made = await makeBlocks({ hours: 4, series: 3 });
  const prometheus = await startPrometheus({ dataDir: made.dataDir });
  const series = await queryRange(
    prometheus.url,
    "demo_temperature_celsius",
    made.start,
    made.end,
    30,
  );
  expect(series.map(({ metric }) => metric["room"])).toEqual(["1", "2", "3"]);
  expect(series.map(({ values }) => values.length)).toEqual([480, 480, 480]);

  const response = await fetch(`${prometheus.url}/api/v1/admin/tsdb/snapshot`, { method: "POST" });
  expect(response.status).toBe(200);
  const [snapshot = ""] = readdirSync(prometheus.snapshotDir);
  expect(readdirSync(join(prometheus.snapshotDir, snapshot))).toHaveLength(3);

  await prometheus.stop();
  expect(existsSync(`/proc/${prometheus.pid}`)).toBe(false);
});

test.skipIf(skip)("without the admin API no snapshot is taken", async () => {
  const prometheus = await startPrometheus({ adminApi: false });
  const response = await fetch(`${prometheus.url}/api/v1/admin/tsdb/snapshot`, { method: "POST" });
  expect(response.ok).toBe(false);
});

test.skipIf(skip)("a Prometheus that can't start is told with its own words", async () => {
  const start = startPrometheus({ args: ["--no-such-flag"] });
  await expect(start).rejects.toThrow(/ended at once:\n.*unknown long flag '--no-such-flag'/);
});
