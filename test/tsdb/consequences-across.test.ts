import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { RunningPrometheus } from "../../scripts/run-prometheus.ts";
import { checkSnapshot } from "../../src/tsdb/check-snapshot.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { type Block, check, tinyBlock, withMeta, writeTo } from "./support/blocks.ts";

/** What a check says of two blocks beside each other is what a real Prometheus does with them. */

const TINY = tinyBlock();
const OTHER = "01M8204A0SY5ACHASGKYRYK1TA";

/** The same samples in a second directory, with the fields of meta.json changed. */
function second(change: (meta: Record<string, unknown>) => unknown): Block {
  return { ...withMeta(TINY, change), name: OTHER };
}

const PAIRS: readonly {
  name: string;
  second: Block;
  kinds: string[];
  expected: Partial<Observed>;
}[] = [
  {
    name: "a block that another one replaces is deleted",
    second: second((meta) => {
      const parents = [{ ulid: TINY.name, minTime: meta["minTime"], maxTime: meta["maxTime"] }];
      Object.assign(meta, { ulid: OTHER, compaction: { level: 2, sources: [TINY.name], parents } });
    }),
    kinds: ["blocks-superseded", "blocks-overlap"],
    expected: { kept: [false, true], samples: 3, snapshot: true },
  },
  {
    name: "of two directories with one ULID no snapshot can be taken",
    second: second(() => {}),
    kinds: ["blocks-same-ulid", "blocks-overlap"],
    expected: { samples: 3, snapshot: false },
  },
  {
    name: "blocks that overlap are merged",
    second: second((meta) => Object.assign(meta, { ulid: OTHER })),
    kinds: ["blocks-overlap"],
    expected: { samples: 3, snapshot: true },
  },
];

interface Observed {
  /** Whether the directories are still there; those that overlap may have become one. */
  readonly kept: readonly boolean[];
  /** How many samples a query finds. */
  readonly samples: number;
  readonly snapshot: boolean;
}

test.skipIf(!needs("prometheus")).each(PAIRS.map((pair) => [pair.name, pair] as const))(
  "%s",
  async (_, { second, kinds, expected }) => {
    const blocks = [TINY, second];
    const results = await Promise.all(blocks.map((block) => check(block)));
    expect(checkSnapshot(results).map(({ kind }) => kind)).toEqual(kinds as never[]);
    expect(await observe(blocks)).toMatchObject(expected);
  },
);

async function observe(blocks: readonly Block[]): Promise<Observed> {
  const dataDir = tempDir();
  const paths = blocks.map(({ name }) => join(dataDir, name));
  blocks.forEach((block, i) => {
    writeTo(paths[i] ?? "", block);
  });
  const prometheus = await startPrometheus({ dataDir });
  const parameters = new URLSearchParams({
    query: "sum(count_over_time(test_total[1h]))",
    time: "1700000016",
  });
  const answer = await fetch(`${prometheus.url}/api/v1/query?${parameters}`);
  const samples = Number(/"value":\[[^,]*,"(\d+)"/.exec(await answer.text())?.[1]);
  const snapshot = await canSnapshot(prometheus);
  await prometheus.stop();
  return { kept: paths.map((path) => existsSync(path)), samples, snapshot };
}

/** Prometheus compacts a block for ever whose directory it does not find, and takes no snapshot meanwhile. */
async function canSnapshot({ url, log }: RunningPrometheus): Promise<boolean> {
  const endless = new AbortController();
  const watch = setInterval(() => {
    if ((log().match(/msg="compact blocks"/g)?.length ?? 0) > 10) endless.abort();
  }, 100);
  try {
    const call = `${url}/api/v1/admin/tsdb/snapshot?skip_head=true`;
    const answer = await fetch(call, { method: "POST", signal: endless.signal });
    await answer.body?.cancel();
    return answer.ok;
  } catch (error) {
    if (endless.signal.aborted) return false;
    throw error;
  } finally {
    clearInterval(watch);
  }
}
