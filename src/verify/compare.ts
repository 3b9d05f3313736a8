import type { Client } from "../api/client.ts";
import { DamagedError, Failure } from "../lib/errors.ts";
import { checksumPath, readChecksumFile } from "../lib/files/sha256sum.ts";

/** A SHA-256 that an archive should have, and who says so. */
export interface Expected {
  readonly with: string;
  readonly sha256: string;
  /** Whether that is a server's record of a download. */
  readonly recorded: boolean;
}

/** What an archive's SHA-256 was compared with. */
export interface Comparison extends Expected {
  readonly equal: boolean;
}

/**
 * What is known of the digest that an archive should have. Asked for before the archive is read, since
 * that takes its time, and what can't be answered is told at once.
 *
 * @param id With a client: the download to look for.
 * @throws Failure if a checksum file is there and says nothing, or the server doesn't know the download;
 *   DamagedError if the server knows that it failed
 */
export async function expectedDigests(
  file: string,
  given: string | undefined,
  id: string | undefined,
  client: Client | undefined,
  signal: AbortSignal,
): Promise<Expected[]> {
  const expected: Expected[] = [];
  if (given !== undefined) expected.push({ with: "--sha256", sha256: given, recorded: false });
  const path = checksumPath(file);
  const beside = file === "-" ? undefined : await readChecksumFile(path);
  if (beside !== undefined) expected.push({ with: path, sha256: beside, recorded: false });
  if (client !== undefined && id !== undefined) {
    const sha256 = await recordedDigest(client, id, signal);
    expected.push({ with: recordOf(id), sha256, recorded: true });
  }
  return expected;
}

async function recordedDigest(client: Client, id: string, signal: AbortSignal): Promise<string> {
  const { finished } = await client.downloadStatus(id, signal);
  if (finished === null) throw new Failure(`download ${id} is still running on the server`);
  if (!finished.success)
    throw new DamagedError(`the server's download ${id} failed: ${finished.error_text}`);
  return finished.sha256_hex.toLowerCase();
}

/**
 * Looks for a download with that digest among those that the server has on record.
 *
 * @returns undefined if there is none
 */
export async function recordedDownload(
  client: Client,
  sha256: string,
  signal: AbortSignal,
): Promise<Comparison | undefined> {
  const downloads = await client.downloads(signal);
  const match = downloads.find(({ finished }) => finished?.sha256_hex.toLowerCase() === sha256);
  return match && { with: recordOf(match.id), sha256, recorded: true, equal: true };
}

function recordOf(id: string): string {
  return `the server's record of download ${id}`;
}
