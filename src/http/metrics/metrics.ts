import { COMMIT, VERSION } from "../../lib/command-line/version.ts";
import { errorText } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { EXPOSITION_TYPE, exposition, gauge, type Metric } from "../../lib/metrics.ts";
import { listSnapshots } from "../../snapshots/list.ts";
import type { Downloads } from "../../status/downloads.ts";
import type { State, Work } from "../../status/state.ts";
import type { Instruments } from "./instruments.ts";
import { processMetrics } from "./process-metrics.ts";

/** What the metrics are read from. */
export interface MetricsParts {
  readonly instruments: Instruments;
  readonly downloads: Downloads;
  readonly running: { readonly count: number };
  readonly state: State;
  readonly snapshotDir: string;
  readonly log: Log;
}

const WORK: readonly Work[] = ["snapshot", "download", "prune", "verification"];

/** How long a look at the snapshot directory is good for, in milliseconds: it may hold many files. */
const LOOK_MS = 10_000;

/** `/metrics`. */
export class MetricsHandler {
  private look: { readonly at: number; readonly metrics: Promise<Metric[]> } | undefined;

  constructor(private readonly parts: MetricsParts) {}

  async handle(): Promise<Response> {
    const { instruments, downloads, running, state } = this.parts;
    const metrics = [
      gauge(
        "prombackup_server_download_tracked_count",
        "Downloads that run or ended less than 15 minutes ago.",
        downloads.trackedCount,
      ),
      gauge("prombackup_downloads_in_progress", "Downloads that run.", running.count),
      ...instruments.metrics(),
      lastSuccesses(state),
      ...(await this.snapshotMetrics()),
      gauge(
        "prombackup_server_build_info",
        "The server's version, with a constant value of 1.",
        1,
        { version: VERSION, revision: COMMIT ?? "source", bun_version: Bun.version },
      ),
      ...processMetrics(),
    ];
    return new Response(exposition(metrics), { headers: { "Content-Type": EXPOSITION_TYPE } });
  }

  /** One look serves all who ask within some seconds. */
  private snapshotMetrics(): Promise<Metric[]> {
    const now = performance.now();
    if (this.look === undefined || now - this.look.at > LOOK_MS) {
      this.look = { at: now, metrics: readSnapshots(this.parts) };
    }
    return this.look.metrics;
  }
}

/** What never succeeded isn't told: no time stands for never. */
function lastSuccesses(state: State): Metric {
  return {
    name: "prombackup_last_success_timestamp_seconds",
    type: "gauge",
    help: "When each kind of work last succeeded, over restarts if the server has a state directory.",
    samples: () =>
      WORK.flatMap((work) => {
        const at = state.lastSuccess(work);
        return at === undefined ? [] : [{ labels: { work }, value: at / 1000 }];
      }),
  };
}

async function readSnapshots({ snapshotDir, log }: MetricsParts): Promise<Metric[]> {
  try {
    const snapshots = await listSnapshots(snapshotDir);
    const times = snapshots.flatMap(({ time }) => (time === undefined ? [] : [time.getTime()]));
    const oldest = times.length === 0 ? undefined : Math.min(...times) / 1000;
    const bytes = snapshots.reduce((sum, snapshot) => sum + snapshot.bytes, 0);
    return [
      gauge("prombackup_snapshots", "Snapshots in the snapshot directory.", snapshots.length),
      gauge(
        "prombackup_snapshots_bytes",
        "Bytes of their files; on the disk most are shared with live blocks, until Prometheus removes these.",
        bytes,
      ),
      gauge(
        "prombackup_snapshot_oldest_timestamp_seconds",
        "When the oldest of them was taken.",
        oldest,
      ),
    ];
  } catch (error) {
    // The other metrics are wanted all the more then.
    log.error("the snapshots can't be counted", { error: errorText(error) });
    return [];
  }
}
