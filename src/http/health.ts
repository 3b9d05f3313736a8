import { access, constants, stat } from "node:fs/promises";
import { errorCode, errorText } from "../lib/errors.ts";
import type { Prometheus } from "../prometheus.ts";
import { textResponse } from "./respond.ts";

/** `/-/healthy`: the process answers. */
export function handleHealthy(): Response {
  return textResponse(200, "prombackup-server is healthy.");
}

/** `/-/ready`: Prometheus answers, and the snapshot directory, if it is there, can be read. */
export async function handleReady(prometheus: Prometheus, snapshotDir: string): Promise<Response> {
  const [prometheusReason, directoryReason] = await Promise.all([
    prometheus.notReadyReason(),
    unreadableReason(snapshotDir),
  ]);
  const reason = prometheusReason ?? directoryReason;
  if (reason !== undefined) return textResponse(503, `prombackup-server is not ready: ${reason}`);
  return textResponse(200, "prombackup-server is ready.");
}

async function unreadableReason(directory: string): Promise<string | undefined> {
  try {
    if (!(await stat(directory)).isDirectory()) return `${directory} is not a directory`;
    await access(directory, constants.R_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    // Prometheus makes the directory with its first snapshot.
    if (errorCode(error) === "ENOENT") return undefined;
    return `${directory} can't be read: ${errorText(error)}`;
  }
}
