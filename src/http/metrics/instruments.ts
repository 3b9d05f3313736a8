import { ARCHIVE_FORMATS, type ArchiveFormat } from "../../archive/format.ts";
import { Counter, Histogram, type Metric } from "../../lib/metrics.ts";

export type Result = "success" | "failure";

const RESULTS: readonly Result[] = ["success", "failure"];
const BY_RESULT = RESULTS.map((result) => ({ result }));
const BY_FORMAT = ARCHIVE_FORMATS.map((format) => ({ format }));
const BY_FORMAT_AND_RESULT = BY_FORMAT.flatMap((format) =>
  BY_RESULT.map((result) => ({ ...format, ...result })),
);

/** Seconds: a small snapshot takes one, a terabyte over a slow line a day. */
const DOWNLOAD_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const CREATION_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900];

/** What the server counts of its own work since it started. No label tells a snapshot or a client. */
export class Instruments {
  private readonly downloads = new Counter(
    "prombackup_downloads_total",
    "Downloads that ended, by format and result.",
    BY_FORMAT_AND_RESULT,
  );
  private readonly bytes = new Counter(
    "prombackup_download_bytes_total",
    "Bytes of archives that were made for downloads, whole or not.",
    BY_FORMAT,
  );
  private readonly seconds = new Histogram(
    "prombackup_download_duration_seconds",
    "How long downloads took that ended well.",
    DOWNLOAD_SECONDS,
    BY_FORMAT,
  );
  private readonly creations = new Counter(
    "prombackup_snapshot_creations_total",
    "Snapshots that Prometheus was asked for, by result.",
    BY_RESULT,
  );
  private readonly creationSeconds = new Histogram(
    "prombackup_snapshot_creation_duration_seconds",
    "How long snapshots took that succeeded, the wait for their turn included.",
    CREATION_SECONDS,
  );
  private readonly prunes = new Counter(
    "prombackup_prunes_total",
    "Prunes, by request or automatic, by result.",
    BY_RESULT,
  );
  private readonly pruned = new Counter(
    "prombackup_pruned_snapshots_total",
    "Snapshots that prunes removed.",
  );
  private readonly verificationFailures = new Counter(
    "prombackup_verification_failures_total",
    "Downloads that failed because their blocks are damaged.",
  );
  private readonly requests = new Counter(
    "prombackup_http_requests_total",
    "Requests that were answered, by route and status code.",
    [],
  );

  downloadEnded(format: ArchiveFormat, result: Result, bytes: number, seconds: number): void {
    this.downloads.add({ format, result });
    this.bytes.add({ format }, bytes);
    if (result === "success") this.seconds.observe({ format }, seconds);
  }

  snapshotCreated(result: Result, seconds: number): void {
    this.creations.add({ result });
    if (result === "success") this.creationSeconds.observe({}, seconds);
  }

  pruneEnded(result: Result, removed: number): void {
    this.prunes.add({ result });
    this.pruned.add({}, removed);
  }

  verificationFailed(): void {
    this.verificationFailures.add({});
  }

  /** @param route one of the server's own, or "other" */
  answered(route: string, code: number): void {
    this.requests.add({ route, code: String(code) });
  }

  metrics(): readonly Metric[] {
    return [
      ...[this.downloads, this.bytes, this.seconds, this.creations, this.creationSeconds],
      ...[this.prunes, this.pruned, this.verificationFailures, this.requests],
    ];
  }
}
