import { decompress } from "../archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { BlockContents, type ContentReport } from "../archive/inspect/check-blocks.ts";
import { inspectArchive, type SnapshotReport } from "../archive/inspect/inspect.ts";
import { readTar, type TarEntry } from "../archive/tar/reader.ts";
import type { CheckLevel } from "../tsdb/check-block.ts";

/** What the members of a snapshot told. */
export interface Checked {
  readonly report: SnapshotReport;
  /** Undefined if only the container was checked. */
  readonly contents: ContentReport | undefined;
}

/**
 * Checks an archive in one pass.
 *
 * @param level How closely the blocks are checked; undefined: not at all.
 * @throws DamagedError if its container is damaged; what the bytes throw is passed on
 */
export async function checkArchive(
  bytes: AsyncIterable<Uint8Array>,
  level: CheckLevel | undefined,
): Promise<Checked & { readonly format: ArchiveFormat }> {
  const { format, bytes: tar } = await decompress(bytes);
  return { format, ...(await checkEntries(readTar(tar), level)) };
}

/** As {@link checkArchive}, of members that come from anywhere. */
export async function checkEntries(
  entries: AsyncIterable<TarEntry>,
  level: CheckLevel | undefined,
  top?: "snapshot" | "any",
): Promise<Checked> {
  const contents = level && new BlockContents(level);
  const report = await inspectArchive(contents?.watch(entries) ?? entries, top);
  return { report, contents: contents?.report() };
}
