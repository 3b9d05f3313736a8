import { inspectArchive } from "../../archive/inspect/inspect.ts";
import type { TarEntry } from "../../archive/tar/reader.ts";
import { type ArchivedBlock, Intake } from "./intake.ts";

/** A block of the archive, before its contents were checked. */
export interface SurveyedBlock extends ArchivedBlock {
  /** Content of all files. */
  readonly bytes: number;
  /** What is plainly wrong: a file that is missing, a meta.json that nobody can read. */
  readonly errors: readonly string[];
}

/** What an archive holds, by its members' names and sizes and by each meta.json. */
export interface Survey {
  readonly snapshot: string;
  readonly blocks: readonly SurveyedBlock[];
  /** Paths of files that are no part of a snapshot: they are never extracted. */
  readonly unknown: readonly string[];
}

/**
 * Reads an archive to its end, which proves the container (compression, tar), and no contents but
 * each meta.json.
 *
 * @param through does something with the entries that were let in; what it doesn't pass on is not
 *   looked at any further
 * @throws DamagedError if there is something in it that no snapshot has
 */
export async function survey(
  entries: AsyncIterable<TarEntry>,
  through: (admitted: AsyncIterable<TarEntry>) => AsyncIterable<TarEntry> = (admitted) => admitted,
): Promise<Survey> {
  const intake = new Intake();
  const report = await inspectArchive(through(intake.watch(entries)));
  const errors = new Map(report.blocks.map((block) => [block.ulid, block.errors]));
  return {
    snapshot: intake.snapshot ?? "",
    unknown: intake.unknown,
    blocks: intake.blocks.map((block) => ({
      ...block,
      bytes: sum(block.files.values()),
      errors: errors.get(block.ulid) ?? [],
    })),
  };
}

function sum(sizes: Iterable<number>): number {
  let total = 0;
  for (const size of sizes) total += size;
  return total;
}
