import { BlockContents, type ContentReport } from "../../archive/inspect/check-blocks.ts";
import type { TarEntry } from "../../archive/tar/reader.ts";
import type { BlockChecks } from "../../tsdb/checks.ts";
import { type Survey, survey } from "../intake/survey.ts";
import type { Ownership } from "../ownership.ts";
import { Extraction } from "./extract.ts";
import { mark } from "./marker.ts";
import type { Placing } from "./placing.ts";
import type { Staging } from "./staging.ts";

/** Blocks that were written and checked. */
export interface Staged {
  readonly survey: Survey;
  /** Of the wanted blocks. */
  readonly contents: ContentReport;
  /** Takes a staged block away. */
  remove(ulid: string): void;
  /** Gives the rest its owner, makes it durable, and writes down what is to become of it. */
  finish(placing: Placing): void;
}

/**
 * Writes blocks of an archive to `data` in the staging directory, and checks the bytes that it
 * writes while it writes them.
 *
 * @param wanted says which blocks
 * @param checks where they are checked
 */
export async function stage(
  entries: AsyncIterable<TarEntry>,
  staging: Staging,
  ownership: Ownership,
  wanted: (ulid: string) => boolean,
  checks: BlockChecks,
): Promise<Staged> {
  const data = staging.makeData();
  const contents = new BlockContents(checks);
  const extraction = new Extraction(data, staging.path, ownership, wanted);
  const found = await survey(entries, (admitted) => contents.watch(extraction.watch(admitted)));
  return {
    survey: found,
    contents: contents.report(),
    remove: (ulid) => extraction.remove(ulid),
    finish: (placing) => {
      extraction.finish();
      mark(data, placing);
    },
  };
}
