import { setTimeout as pause } from "node:timers/promises";
import { errorText } from "../../lib/errors.ts";
import { type Prometheus, PrometheusNotRunning } from "../../prometheus.ts";
import type { BlockMeta } from "../../tsdb/meta.ts";
import { examineDataDir } from "../data-dir.ts";
import { holds } from "../plan/choose.ts";

/** Whether a Prometheus has loaded what was restored. */
export type Loaded =
  | { readonly state: "loaded"; readonly blocks: number }
  /** It isn't ready: why. */
  | { readonly state: "waiting"; readonly why: string }
  /** It is ready, and something is missing. */
  | { readonly state: "missing"; readonly why: string };

interface ExpectedBlock {
  readonly ulid: string;
  readonly meta: BlockMeta | undefined;
}

const POLL_MS = 500;

/**
 * Waits until the Prometheus on a data directory is ready and has loaded every block that lies there,
 * and tells whether the expected ones are among them. A block that it has compacted meanwhile is there
 * in another one.
 *
 * @param limitMs how long to wait; 0 looks once
 */
export async function awaitLoaded(
  prometheus: Prometheus,
  dataDir: string,
  expected: readonly ExpectedBlock[],
  limitMs: number,
  signal: AbortSignal,
): Promise<Loaded> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const loaded = await look(prometheus, dataDir, expected);
    if (loaded.state === "loaded" || performance.now() >= deadline) return loaded;
    await pause(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

async function look(
  prometheus: Prometheus,
  dataDir: string,
  expected: readonly ExpectedBlock[],
): Promise<Loaded> {
  const why = await prometheus.notReadyReason();
  if (why !== undefined) return { state: "waiting", why };
  let count: number | undefined;
  try {
    count = await prometheus.metric("prometheus_tsdb_blocks_loaded");
  } catch (error) {
    if (error instanceof PrometheusNotRunning) return { state: "waiting", why: errorText(error) };
    throw error;
  }
  const { blocks } = examineDataDir(dataDir);
  const lost = expected.filter(
    ({ ulid, meta }) =>
      !blocks.some(
        (found) =>
          found.meta &&
          (found.block === ulid ||
            found.meta.compaction.parents.includes(ulid) ||
            (meta && holds(found.meta, meta))),
      ),
  );
  if (lost.length > 0) {
    const names = lost.map(({ ulid }) => ulid).join(", ");
    return {
      state: "missing",
      why: `${dataDir} lacks ${names}, or its meta.json can't be read: see Prometheus's log for why`,
    };
  }
  const readable = blocks.filter(({ meta }) => meta !== undefined).length;
  if (count === readable) return { state: "loaded", blocks: readable };
  return {
    state: "missing",
    why: `it has loaded ${count ?? "an unknown number of"} blocks, and ${dataDir} has ${readable}: does it run on another directory? Its log tells what it can't read`,
  };
}
