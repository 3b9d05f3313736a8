import { HEADERS } from "../../api/contract.ts";
import { type ArchiveFormat, FORMAT_DETAILS, isArchiveFormat } from "../../archive/format.ts";
import type { ArchivePlan } from "../../archive/plan.ts";
import { InvalidSnapshotName } from "../../snapshots/errors.ts";
import { lockShared } from "../../snapshots/lock.ts";
import { isSnapshotName } from "../../snapshots/name.ts";
import { HttpError, loggedAlready } from "../respond.ts";
import { type Exchange, errorResponse } from "../router.ts";
import type { DownloadSlots } from "./download-slots.ts";
import { Transfer, type TransferParts } from "./transfer.ts";

/** What a download needs of the server. */
export interface DownloadParts extends TransferParts {
  readonly snapshotDir: string;
  readonly slots: DownloadSlots;
}

/**
 * `GET /api/download`: a snapshot as an archive. An error before the first byte is an HTTP error;
 * one after it cuts the connection, and the status tells why.
 */
export async function handleDownload(exchange: Exchange, parts: DownloadParts): Promise<Response> {
  const { name, format } = readQuery(exchange.url.searchParams);
  const freeSlot = parts.slots.take();
  exchange.holdOpen();
  const lock = await lockShared(parts.snapshotDir, name).catch((error: unknown) => {
    freeSlot();
    throw error;
  });
  const transfer = new Transfer({ name, format, lock, freeSlot }, parts, exchange);
  try {
    const plan = await transfer.prepare();
    return new Response(transfer.stream(), { headers: headers(plan, format, transfer.id) });
  } catch (error) {
    await transfer.fail(error);
    return loggedAlready(errorResponse(error));
  }
}

function readQuery(query: URLSearchParams): { name: string; format: ArchiveFormat } {
  const name = query.get("name") ?? "";
  const format = query.get("format") || "tar";
  if (name === "") throw new HttpError(404, "Snapshot name is required");
  if (!isSnapshotName(name)) throw new InvalidSnapshotName(name);
  if (!isArchiveFormat(format)) throw new HttpError(400, `unknown archive format: ${format}`);
  return { name, format };
}

function headers(plan: ArchivePlan, format: ArchiveFormat, id: string): Record<string, string> {
  const { contentType, extension } = FORMAT_DETAILS[format];
  const size = String(plan.contentSize);
  return {
    "Content-Type": contentType,
    "Content-Disposition": `attachment; filename=${plan.name}${extension}`,
    // The descriptor is free as soon as the kernel has the last byte, however long the client takes.
    Connection: "close",
    [HEADERS.downloadId]: id,
    [HEADERS.contentSize]: size,
    ...(format === "tar" ? { [HEADERS.archiveSize]: size } : {}),
  };
}
