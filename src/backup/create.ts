import { type Client, type IncomingDownload, Refused } from "../api/client.ts";
import { type DownloadStatus, requireProven } from "../api/contract.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { DamagedError, errorText, Failure, retryable } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import type { Checked } from "../verify/check.ts";
import { problems, warnings } from "../verify/problems.ts";
import { ArrivingCheck } from "./arriving.ts";
import { receive } from "./receive.ts";
import { withRetries } from "./retry.ts";
import { openTarget, prepareTarget, type Target, type TargetRequest } from "./target.ts";

/** How long the removal of a snapshot may take when the command is being interrupted. */
const CLEANUP_TIMEOUT_MS = 10_000;

/** A tar with the snapshot's directory alone: its header, and the two blocks at the end. */
const EMPTY_TAR_BYTES = 3 * 512;

/** How long a server may take to notice that a download of ours is over. */
const IN_USE_ATTEMPTS = 10;
const IN_USE_PAUSE_MS = 200;

export interface BackupRequest extends TargetRequest {
  readonly skipHead: boolean;
  /** Remove the snapshot afterwards, also after a failure. */
  readonly removeSnapshot: boolean;
  /** By what the blocks are checked while they arrive, if they are. */
  readonly checks: BlockChecks | undefined;
  /** How often a snapshot is asked for again, and its download begun again. */
  readonly retries: number;
  /** Bytes per second that are taken at most; undefined: as fast as they come. */
  readonly limitRate: number | undefined;
}

/** A backup that was made, as `create --json` prints it. */
export interface Backup {
  readonly snapshot: string;
  /** Null: standard output. */
  readonly file: string | null;
  readonly format: ArchiveFormat;
  readonly bytes: number;
  readonly sha256: string;
  readonly download_id: string;
  readonly seconds: number;
  readonly snapshot_removed: boolean;
  /** Null: not asked for. */
  readonly verified: Verified | null;
}

/** What the check of the blocks told. */
export interface Verified {
  readonly blocks: number;
  /** None: a good backup. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** What arrived is what the server sent, and no good backup. */
export class DamagedBackup extends DamagedError {
  /** @param verified what was found in the blocks; null if it is no archive that could be read */
  constructor(
    message: string,
    readonly snapshot: string,
    readonly verified: Verified | null,
  ) {
    super(message);
  }
}

/**
 * Has a snapshot taken, downloads it, proves that it arrived as it was sent, if wanted that Prometheus
 * can read it, and gives it its name; in this order, so that whatever fails leaves the target as it was.
 *
 * @throws Failure that says what failed, DamagedBackup if that is a block of Prometheus's own, and the
 *   signal's reason if it was aborted
 */
export async function createBackup(
  client: Client,
  request: BackupRequest,
  log: Log,
  signal: AbortSignal,
): Promise<Backup> {
  const startedAt = performance.now();
  for (const oddity of await prepareTarget(request)) log.warn(oddity);
  const retries = { count: request.retries, log, signal };
  const snapshot = await withRetries(retries, () =>
    client.createSnapshot(request.skipHead, signal),
  );
  let proven: Awaited<ReturnType<typeof fetchArchive>>;
  try {
    // Always of this snapshot: one that was taken is not taken twice.
    proven = await withRetries(retries, () => fetchArchive(client, snapshot, request, signal));
  } catch (error) {
    if (request.removeSnapshot) await removeAfterFailure(client, snapshot, log);
    throw error;
  }
  const { empty, ...made } = proven;
  // Among what --verify found, it is told already.
  if (empty && made.verified === null) log.warn(emptyText(snapshot, request.skipHead));
  if (request.removeSnapshot) await removeAfterSuccess(client, snapshot, made.file);
  return {
    snapshot,
    ...made,
    format: request.format,
    seconds: Number(((performance.now() - startedAt) / 1000).toFixed(3)),
    snapshot_removed: request.removeSnapshot,
  };
}

async function fetchArchive(
  client: Client,
  snapshot: string,
  request: BackupRequest,
  signal: AbortSignal,
) {
  const download = limited(
    await client.download(snapshot, request.format, signal),
    request.limitRate,
  );
  const target = await openTarget(request, download).catch(async (error: unknown) => {
    // The server would go on sending, and keep the snapshot for it.
    await download.cancel();
    throw error;
  });
  const arriving = { snapshot, download, target };
  const { verified, ...proven } = await receiveProven(client, arriving, request, signal);
  await target.commit(proven.sha256);
  // The Go server doesn't tell the size, so that only of a tar it is known.
  const tarBytes = download.contentSize ?? (request.format === "tar" ? proven.bytes : undefined);
  const empty = tarBytes !== undefined && tarBytes <= EMPTY_TAR_BYTES;
  return { file: target.file, ...proven, download_id: download.id, verified, empty };
}

/** Prometheus takes a snapshot of nothing, too: after the loss of its volume, for example. */
function emptyText(snapshot: string, skipHead: boolean): string {
  const why = skipHead
    ? "Prometheus had no data but that of the head, which --skip-head leaves out"
    : "Prometheus had no data";
  return `${snapshot} has no block: ${why}`;
}

function limited(download: IncomingDownload, rate: number | undefined): IncomingDownload {
  if (rate === undefined) return download;
  return { ...download, body: new RateLimit(rate).pace(download.body) };
}

async function receiveProven(
  client: Client,
  { snapshot, download, target }: { snapshot: string; download: IncomingDownload; target: Target },
  { checks }: BackupRequest,
  signal: AbortSignal,
) {
  const check = checks && new ArrivingCheck(checks);
  const received = { bytes: 0 };
  try {
    const sha256 = await receive(client, download, { target, check, received }, signal);
    const { bytes } = received;
    requireProven(await statusOf(client, download.id, signal), sha256, bytes);
    const verified = check === undefined ? null : await requireReadable(check, snapshot);
    signal.throwIfAborted();
    return { bytes, sha256, verified };
  } catch (error) {
    await check?.cancel();
    await target.discard();
    // What a pipe, a device or standard output has taken stays there.
    if (error instanceof Failure && !target.isFile && received.bytes > 0)
      error.retryAfter = undefined;
    throw signal.aborted ? signal.reason : error;
  }
}

/** @throws Failure that can be tried again also if the server has lost its record by a restart */
async function statusOf(client: Client, id: string, signal: AbortSignal): Promise<DownloadStatus> {
  try {
    return await client.downloadStatus(id, signal);
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404)) throw error;
    const lost = `the server has no record of download ${id}, so it can't be proven`;
    throw retryable(new Failure(`${lost} (was it restarted?)`));
  }
}

/** @throws DamagedBackup that tells all that is wrong */
async function requireReadable(check: ArrivingCheck, snapshot: string): Promise<Verified> {
  let verified: Verified;
  try {
    verified = told(await check.finish());
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    throw new DamagedBackup(errorText(error), snapshot, null);
  }
  if (verified.errors.length === 0) return verified;
  const what = "the archive arrived as the server sent it, but it is not a good backup";
  throw new DamagedBackup(`${what}: ${verified.errors.join("; and ")}`, snapshot, verified);
}

function told(checked: Checked): Verified {
  const blocks = checked.report.blocks.length;
  return { blocks, errors: problems(checked), warnings: warnings(checked) };
}

/** The failure that is under way is the one to tell; that the snapshot stays is a warning. */
async function removeAfterFailure(client: Client, snapshot: string, log: Log): Promise<void> {
  try {
    await removeWhenFree(client, snapshot);
  } catch (error) {
    log.warn(`${notRemoved(snapshot)}: ${errorText(error)}`);
  }
}

async function removeAfterSuccess(
  client: Client,
  snapshot: string,
  file: string | null,
): Promise<void> {
  try {
    await removeWhenFree(client, snapshot);
  } catch (cause) {
    throw new Failure(
      `${file ?? "the archive"} is complete and proven, but ${notRemoved(snapshot)}: ${errorText(cause)}`,
      { cause },
    );
  }
}

function notRemoved(snapshot: string): string {
  return `snapshot ${snapshot} could not be removed (prombackup prune does it later)`;
}

/** A download that was just broken off is still running as far as the server knows. */
async function removeWhenFree(client: Client, snapshot: string): Promise<void> {
  const signal = AbortSignal.timeout(CLEANUP_TIMEOUT_MS);
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.removeSnapshot(snapshot, signal);
    } catch (error) {
      const inUse = error instanceof Refused && error.status === 409;
      if (!inUse || attempt === IN_USE_ATTEMPTS) throw error;
      await Bun.sleep(IN_USE_PAUSE_MS);
    }
  }
}
