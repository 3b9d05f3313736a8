import { decompress } from "../archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { BlockContents, type ContentReport } from "../archive/inspect/check-blocks.ts";
import { inspectArchive, type SnapshotReport } from "../archive/inspect/inspect.ts";
import { readTar, type TarEntry } from "../archive/tar/reader.ts";
import type { BlockChecks } from "../tsdb/checks.ts";

/** What the members of a snapshot told. */
export interface Checked {
  readonly report: SnapshotReport;
  /** Undefined if only the container was checked. */
  readonly contents: ContentReport | undefined;
}

/**
 * Checks an archive in one pass.
 *
 * @param checks How and where the blocks are checked; undefined: not at all.
 * @throws DamagedError if its container is damaged; what the bytes throw is passed on
 */
export async function checkArchive(
  bytes: AsyncIterable<Uint8Array>,
  checks: BlockChecks | undefined,
): Promise<Checked & { readonly format: ArchiveFormat }> {
  const { format, bytes: tar } = await decompress(bytes);
  return { format, ...(await checkEntries(readTar(tar), checks)) };
}

/** As {@link checkArchive}, of members that come from anywhere. */
export async function checkEntries(
  entries: AsyncIterable<TarEntry>,
  checks: BlockChecks | undefined,
  top?: "snapshot" | "any",
): Promise<Checked> {
  const contents = checks && new BlockContents(checks);
  const report = await inspectArchive(contents?.watch(entries) ?? entries, top);
  return { report, contents: contents?.report() };
}
