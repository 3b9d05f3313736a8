/**
 * What the server and its clients agree on: routes, header names, answers. Compatible with the Go
 * program of the same name in both directions; what only this one has is marked as ours.
 */
import { Failure, retryable } from "../lib/errors.ts";
import { isSnapshotName } from "../snapshots/name.ts";

export const ROUTES = {
  page: "/",
  metrics: "/metrics",
  createSnapshot: "/api/snapshot",
  download: "/api/download",
  downloadStatus: "/api/download_status",
  prune: "/api/prune",
  /** Ours: the snapshots that there are; below it, one by name. */
  snapshots: "/api/snapshots",
  /** Ours: the downloads on record. */
  downloads: "/api/downloads",
  healthy: "/-/healthy",
  ready: "/-/ready",
} as const;

export const HEADERS = {
  downloadId: "X-Prombackup-Download-Id",
  /** Ours: bytes of the body, where they are known beforehand. */
  archiveSize: "X-Prombackup-Archive-Size",
  /** Ours: bytes of the tar before compression. */
  contentSize: "X-Prombackup-Content-Size",
} as const;

/** What became of a download. `finished` is null while it runs. */
export interface DownloadStatus {
  readonly id: string;
  readonly snapshot_name: string;
  readonly finished: FinishedDownload | null;
}

export interface FinishedDownload {
  readonly success: boolean;
  readonly error_text: string | null;
  /** SHA-256 of the body as sent; empty if the download failed. */
  readonly sha256_hex: string;
}

/** Ours: a snapshot as `GET /api/snapshots` tells it. Times are RFC 3339 in UTC. */
export interface SnapshotAnswer {
  readonly name: string;
  /** When it was taken, by its name; null if the name doesn't say. */
  readonly time: string | null;
  readonly blocks: number;
  readonly bytes: number;
  readonly min_time: string | null;
  readonly max_time: string | null;
  readonly in_use: boolean;
  /** Whether Prometheus told this server that it is complete; false: nobody vouches for it. */
  readonly confirmed: boolean;
}

/** Ours: what a prune did. The Go server answers `{}`. */
export interface PruneAnswer {
  readonly removed: readonly string[];
  readonly kept: readonly { readonly name: string; readonly reason: string }[];
}

/** Reads the answer to `POST /api/snapshot`. The name becomes part of a file name: it is checked. */
export function readCreatedName(json: unknown): string {
  const name = field(json, "name");
  if (typeof name !== "string" || !isSnapshotName(name)) throw malformed("the new snapshot's name");
  return name;
}

/** Reads the answer to `GET /api/download_status`. Unknown fields are ignored. */
export function readDownloadStatus(json: unknown): DownloadStatus {
  const id = field(json, "id");
  const name = field(json, "snapshot_name");
  const finished = field(json, "finished");
  if (typeof id !== "string" || typeof name !== "string") throw malformed("the download's status");
  return { id, snapshot_name: name, finished: finished == null ? null : readFinished(finished) };
}

function readFinished(json: unknown): FinishedDownload {
  const success = field(json, "success");
  const error = field(json, "error_text") ?? null;
  const sha256 = field(json, "sha256_hex");
  if (
    typeof success !== "boolean" ||
    (error !== null && typeof error !== "string") ||
    typeof sha256 !== "string"
  ) {
    throw malformed("the download's status");
  }
  return { success, error_text: error, sha256_hex: sha256 };
}

/** Reads the answer to `GET /api/downloads`. */
export function readDownloads(json: unknown): DownloadStatus[] {
  return list(field(json, "downloads"), "the downloads").map(readDownloadStatus);
}

/** Reads the answer to `GET /api/snapshots`. */
export function readSnapshots(json: unknown): SnapshotAnswer[] {
  return list(field(json, "snapshots"), "the snapshots").map(readSnapshot);
}

function readSnapshot(json: unknown): SnapshotAnswer {
  const what = "a snapshot";
  return {
    name: as("string", field(json, "name"), what),
    time: orNull("string", field(json, "time"), what),
    blocks: as("number", field(json, "blocks"), what),
    bytes: as("number", field(json, "bytes"), what),
    min_time: orNull("string", field(json, "min_time"), what),
    max_time: orNull("string", field(json, "max_time"), what),
    in_use: as("boolean", field(json, "in_use"), what),
    confirmed: as("boolean", field(json, "confirmed"), what),
  };
}

/** Reads the answer to `POST /api/prune`; undefined if the server doesn't tell (the Go program). */
export function readPrune(json: unknown): PruneAnswer | undefined {
  const removed = field(json, "removed");
  if (removed === undefined) return undefined;
  const what = "the prune";
  return {
    removed: list(removed, what).map((name) => as("string", name, what)),
    kept: list(field(json, "kept"), what).map((kept) => ({
      name: as("string", field(kept, "name"), what),
      reason: as("string", field(kept, "reason"), what),
    })),
  };
}

interface Primitives {
  string: string;
  number: number;
  boolean: boolean;
}

function as<K extends keyof Primitives>(kind: K, value: unknown, what: string): Primitives[K] {
  if (!isA(kind, value)) throw malformed(what);
  return value;
}

function orNull<K extends keyof Primitives>(
  kind: K,
  value: unknown,
  what: string,
): Primitives[K] | null {
  return value == null ? null : as(kind, value, what);
}

function isA<K extends keyof Primitives>(kind: K, value: unknown): value is Primitives[K] {
  return typeof value === kind;
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw malformed(what);
  return value;
}

function field(json: unknown, name: string): unknown {
  if (typeof json !== "object" || json === null) throw malformed("the answer");
  return Object.getOwnPropertyDescriptor(json, name)?.value;
}

function malformed(what: string): Failure {
  return new Failure(`the server's answer doesn't tell ${what} as a prombackup server would`);
}

/**
 * Proves that what arrived is what the server sent.
 *
 * @throws Failure that says in what they differ.
 */
export function requireProven(status: DownloadStatus, sha256: string, bytes: number): void {
  const { finished } = status;
  if (finished === null) {
    throw onTheWay(
      `download ${status.id} ended after ${bytes} bytes, but the server is still sending: the connection was cut on the way`,
    );
  }
  if (!finished.success)
    throw onTheWay(
      `the server failed to make the archive: ${finished.error_text ?? "it doesn't say why"}`,
    );
  if (finished.sha256_hex.toLowerCase() !== sha256) {
    throw onTheWay(
      `the ${bytes} bytes that arrived have SHA-256 ${sha256}, those that the server sent had ${finished.sha256_hex}: damaged on the way`,
    );
  }
}

/** The same snapshot can be downloaded once more. */
function onTheWay(message: string): Failure {
  return retryable(new Failure(message));
}
