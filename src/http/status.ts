import { ROUTES } from "../api/contract.ts";
import type { Downloads } from "../status/downloads.ts";
import { HttpError, jsonResponse } from "./respond.ts";
import type { Exchange } from "./router.ts";

/** `GET /api/download_status`: what became of a download, by its id. */
export function handleDownloadStatus({ url }: Exchange, downloads: Downloads): Response {
  const id = url.searchParams.get("id") ?? "";
  if (id === "") throw new HttpError(404, "Download ID is required");
  const status = downloads.get(id);
  if (status === undefined) throw new HttpError(404, `Download ${id} not found`);
  return jsonResponse(status);
}

/** `GET /api/downloads`, ours: the downloads on record, newest first ({@link ROUTES.downloads}). */
export function handleListDownloads(downloads: Downloads): Response {
  return jsonResponse({ downloads: downloads.list() });
}
