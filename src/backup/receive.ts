import type { Client, IncomingDownload } from "../api/client.ts";
import { freeWhole } from "../archive/buffers.ts";
import { startProgress } from "../lib/command-line/progress.ts";
import { Failure, retryable } from "../lib/errors.ts";
import { brokenOffReason } from "../lib/network/requests.ts";
import type { ArrivingCheck } from "./arriving.ts";
import type { Target } from "./target.ts";

/** How long a server may take to say why a download broke off. */
const REASON_TIMEOUT_MS = 5000;

/** What an archive goes through as it arrives. */
export interface Reception {
  readonly target: Target;
  readonly check: ArrivingCheck | undefined;
  /** How much has come, also if it fails. */
  readonly received: { bytes: number };
}

/**
 * Takes in a download.
 *
 * @returns the SHA-256 of what came
 * @throws Failure that can be tried again if the way of it broke, with the server's reason if it has
 *   one; others if the target or the check fails
 */
export async function receive(
  client: Client,
  download: IncomingDownload,
  { target, check, received }: Reception,
  signal: AbortSignal,
): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const progress = startProgress(download.archiveSize);
  try {
    for await (const chunk of download.body) {
      signal.throwIfAborted();
      hasher.update(chunk);
      await target.write(chunk);
      const { byteLength } = chunk;
      if (check === undefined) freeWhole(chunk);
      else await check.write(chunk);
      received.bytes += byteLength;
      progress.add(byteLength);
      requireExpected(download, received.bytes);
    }
  } catch (cause) {
    if (cause instanceof Failure || signal.aborted) throw cause;
    const reason = (await serversReason(client, download.id)) ?? brokenOffReason(cause);
    throw retryable(
      new Failure(`download ${download.id} broke off after ${received.bytes} bytes: ${reason}`),
    );
  } finally {
    progress.end();
  }
  return hasher.digest("hex");
}

/** A body that doesn't end would fill the disk. */
function requireExpected({ id, archiveSize }: IncomingDownload, bytes: number): void {
  if (archiveSize === undefined || bytes <= archiveSize) return;
  throw new Failure(`download ${id} goes on after the ${archiveSize} bytes that were announced`);
}

/** The server knows which file it was; undefined if it can't be asked, or knows nothing of it. */
async function serversReason(client: Client, id: string): Promise<string | undefined> {
  try {
    const { finished } = await client.downloadStatus(id, AbortSignal.timeout(REASON_TIMEOUT_MS));
    return finished?.error_text ?? undefined;
  } catch {
    // The failure that is under way is the one to tell.
    return undefined;
  }
}
