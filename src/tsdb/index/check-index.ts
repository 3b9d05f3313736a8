import type { ChunkReferences } from "../chunks/references.ts";
import type { Findings } from "../findings.ts";
import type { Spool } from "../spool.ts";
import { checkLabelIndices } from "./label-indices.ts";
import { checkPostings } from "./postings.ts";
import { readPostingsTable } from "./postings-table.ts";
import { checkSeries, type Series } from "./series.ts";
import type { TimeRange } from "./series-entry.ts";
import { readSymbols } from "./symbols.ts";
import { readLayout } from "./toc.ts";

/**
 * Checks an index, section by section in the order in which they lie, each against those before it:
 * symbols, series (against the symbols and the chunks), the unread label indices, postings lists
 * (against the series). Memory: the symbols, 8 bytes a series, some 50 bytes a label pair.
 *
 * @param range of the block; undefined if meta.json does not tell it.
 * @returns undefined if the series can't be found.
 */
export async function checkIndex(
  spool: Spool,
  range: TimeRange | undefined,
  references: ChunkReferences,
  findings: Findings,
): Promise<Series | undefined> {
  const layout = readLayout(spool, findings);
  if (layout === undefined) return undefined;
  const symbols = await readSymbols(spool, layout.symbols, findings);
  const series = await checkSeries(spool, layout.series, symbols, range, references, findings);
  await checkLabelIndices(spool, layout.labelIndices, layout.labelOffsetTable, findings);
  if (symbols === undefined) return series;

  const comparable = { ...series, complete: series.complete && !findings.has("symbols-order") };
  const { postings, postingsOffsetTable } = layout;
  const table = await readPostingsTable(
    spool,
    postingsOffsetTable,
    postings,
    symbols,
    comparable,
    findings,
  );
  if (table !== undefined) {
    await checkPostings(spool, postings, table, comparable, symbols, findings);
  }
  return series;
}
