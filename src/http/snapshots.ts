import type { SnapshotAnswer } from "../api/contract.ts";
import { isArchiveFormat } from "../archive/format.ts";
import { goBoolean } from "../lib/command-line/flags.ts";
import { errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { CreationStopped, QueueFull, type SnapshotCreator } from "../snapshots/create.ts";
import { InvalidSnapshotName } from "../snapshots/errors.ts";
import type { Leases } from "../snapshots/lease.ts";
import { listSnapshots, type SnapshotInfo } from "../snapshots/list.ts";
import { isSnapshotName } from "../snapshots/name.ts";
import { removeSnapshot } from "../snapshots/remove.ts";
import type { State } from "../status/state.ts";
import type { DownloadSlots } from "./download/download-slots.ts";
import type { Instruments, Result } from "./metrics/instruments.ts";
import { parsedParameter, requestParameters } from "./parameters.ts";
import { HttpError, jsonResponse } from "./respond.ts";
import type { Exchange } from "./router.ts";

/** What the creation of a snapshot needs of the server. */
export interface CreationParts {
  readonly creator: SnapshotCreator;
  readonly slots: DownloadSlots;
  readonly state: State;
  readonly instruments: Instruments;
}

/** `POST /api/snapshot`: has Prometheus take a snapshot and tells its name and where to get it. */
export async function handleCreateSnapshot(
  { request, url, holdOpen }: Exchange,
  { creator, slots, state, instruments }: CreationParts,
): Promise<Response> {
  const parameters = await requestParameters(request, url);
  const skipHead = parsedParameter(parameters, "skip_head", goBoolean) ?? false;
  const format = parameters.get("download_format") ?? "";
  // Refused before Prometheus is asked, so that no snapshot is left behind by a typo.
  if (format !== "" && !isArchiveFormat(format))
    throw new HttpError(400, `unknown archive format: ${format}`);
  // Its download would be refused, and the snapshot be for nothing.
  slots.requireFree();
  holdOpen();
  const name = await measured(instruments, () => createSnapshot(creator, skipHead, request.signal));
  state.confirm(name);
  state.succeeded("snapshot");
  const query = new URLSearchParams(format === "" ? { name } : { format, name });
  return jsonResponse({ name }, 303, { Location: `./download?${query}` });
}

async function measured<T>(instruments: Instruments, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  let result: Result = "failure";
  try {
    const done = await work();
    result = "success";
    return done;
  } finally {
    instruments.snapshotCreated(result, (performance.now() - startedAt) / 1000);
  }
}

async function createSnapshot(
  creator: SnapshotCreator,
  skipHead: boolean,
  client: AbortSignal,
): Promise<string> {
  try {
    return await creator.create(skipHead, client);
  } catch (cause) {
    if (cause instanceof QueueFull || cause instanceof CreationStopped) throw cause;
    throw new Failure(`Creating snapshot failed: ${errorText(cause)}`, { cause });
  }
}

/** `GET /api/snapshots`, ours: what lies in the snapshot directory, newest first. */
export async function handleListSnapshots(
  { holdOpen }: Exchange,
  snapshotDir: string,
  state: State,
): Promise<Response> {
  holdOpen();
  const snapshots = await listSnapshots(snapshotDir);
  return jsonResponse({
    snapshots: snapshots.map((info) => snapshotAnswer(info, state.isConfirmed(info.name))),
  });
}

function snapshotAnswer(info: SnapshotInfo, confirmed: boolean): SnapshotAnswer {
  return {
    name: info.name,
    time: info.time?.toISOString() ?? null,
    blocks: info.blocks,
    bytes: info.bytes,
    min_time: isoTime(info.minTime),
    max_time: isoTime(info.maxTime),
    in_use: info.inUse,
    confirmed,
  };
}

/** Null also for what no calendar can tell: a block's times are whatever its meta.json says. */
function isoTime(milliseconds: number | undefined): string | null {
  const date = new Date(milliseconds ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/**
 * `DELETE /api/snapshots/NAME`, ours: removes one that no download uses. The lease that this server
 * holds on a snapshot of its own doesn't stand in the way: it guards against prune, and who names
 * the snapshot knows it.
 */
export async function handleRemoveSnapshot(
  { rest, peer, holdOpen }: Exchange,
  snapshotDir: string,
  leases: Leases,
  log: Log,
): Promise<Response> {
  // No snapshot's name needs escaping, so none is undone.
  const name = rest;
  if (!isSnapshotName(name)) throw new InvalidSnapshotName(name);
  holdOpen();
  await leases.setAside(name, () => removeSnapshot(snapshotDir, name));
  log.info("snapshot removed", { snapshot: name, peer });
  return jsonResponse({});
}
