/**
 * Every kind of problem that a check finds in a block, with what Prometheus does about it (seen
 * with 2.42 and 3.5) and what to do. The rule for the severity: an **error** keeps Prometheus from
 * starting, keeps it from reading some sample, or shows that the block is not what was written; with
 * a **warning** alone, every sample of the block can be read.
 */

/** What Prometheus would do with a block that has the problem. */
export type Consequence =
  /** It exits at start-up: one such block keeps all others from being served, too. */
  | "refuses to start"
  /** It starts and is ready, and logs a line at most: the block's samples are missing. */
  | "block silently missing"
  /** It removes the block from disk at start-up. */
  | "deletes the block"
  /** It starts, and refuses what is scraped: it takes no samples of before the newest block's end. */
  | "takes no new samples"
  /** It starts; queries that touch the damage fail as a whole. */
  | "queries fail"
  /** It starts; queries answer, but miss samples or get those of another series. */
  | "wrong answers"
  /** Queries answer rightly; compaction of the block fails. */
  | "compaction fails"
  /** Queries answer rightly; its next snapshot fails, and so does the next backup. */
  | "snapshots fail"
  | "none";

export type Severity = "error" | "warning";

interface Problem {
  readonly severity: Severity;
  readonly consequence: Consequence;
  readonly remedy: string;
}

const ANOTHER_BACKUP = "restore this block from another backup, or restore without it";
const NOTHING = "nothing has to be done";
const TAKE_AGAIN =
  "take the backup again; if it happens again, the block is so in the data directory";

function error(consequence: Consequence, remedy = ANOTHER_BACKUP): Problem {
  return { severity: "error", consequence, remedy };
}

function warning(remedy = NOTHING, consequence: Consequence = "none"): Problem {
  return { severity: "warning", consequence, remedy };
}

const REWRITE_META = "correct meta.json by hand, or restore this block from another backup";

const KINDS = {
  // The block as a whole.
  "block-name": error(
    "block silently missing",
    "rename the directory to the ulid of its meta.json",
  ),
  // Of both, Prometheus compacts the block again and again: it doesn't find the directory to remove.
  "block-name-case": error("compaction fails", "rename the directory in upper case"),
  "block-name-differs": warning(
    "rename the directory to the ulid of its meta.json",
    "compaction fails",
  ),
  "file-twice": error("wrong answers", TAKE_AGAIN),
  "file-unknown": warning("remove the file if you did not put it there"),

  // meta.json
  "meta-missing": error("block silently missing"),
  "meta-invalid": error("block silently missing", REWRITE_META),
  "meta-range": error("wrong answers", REWRITE_META),
  "meta-range-late": error("takes no new samples", REWRITE_META),
  "meta-unusual": warning(),
  "meta-version": warning("nothing has to be done: Prometheus rewrites it at start-up"),
  "meta-deletable": error("deletes the block", "set compaction.deletable to false in meta.json"),
  "meta-counts": error("none", TAKE_AGAIN),

  // Segments and their chunks.
  "chunks-missing": error("refuses to start"),
  "chunks-empty": error("queries fail"),
  "segment-header": error("refuses to start"),
  "segment-padding": warning(),
  "segment-name": warning("rename the segments to 000001, 000002, … in their order"),
  "segment-zeros": warning(),
  "chunk-record": error("queries fail"),
  "chunk-checksum": error("queries fail"),
  "chunk-encoding": error("queries fail"),
  "chunk-undecodable": error("queries fail"),
  "chunk-contradictory": error("wrong answers"),
  "chunk-dangling": error("queries fail"),
  "chunk-unchecked": error("queries fail"),
  "chunk-shared": error("wrong answers"),
  "chunk-times": error("wrong answers"),
  "chunk-times-narrow": warning(),
  "chunk-disordered": warning(),
  "chunk-unreferenced": warning(),

  // The index.
  "index-missing": error("refuses to start"),
  "index-header": error("refuses to start"),
  "index-version-1": error("queries fail"),
  "index-version-3": warning(
    "Prometheus since 2.55 reads the block; for an older one, set byte 4 of the index to 2",
    "refuses to start",
  ),
  "index-toc": error("refuses to start"),
  "index-gap": warning(),
  "symbols-damaged": error("refuses to start"),
  "symbols-order": error("wrong answers"),
  "symbols-utf8": warning(),
  "series-checksum": error("queries fail"),
  "series-damaged": error("queries fail"),
  "series-labels": error("wrong answers"),
  "series-empty-value": warning(),
  "series-order": error("wrong answers"),
  "series-chunks": error("wrong answers"),
  "series-chunks-overlap": warning(),
  "series-range": error("wrong answers"),
  "postings-damaged": error("queries fail"),
  "postings-content": error("wrong answers"),
  "postings-all": error("compaction fails"),
  "postings-table": error("refuses to start"),
  "postings-table-content": error("wrong answers"),
  "label-index": warning(),

  // Tombstones.
  "tombstones-missing": warning(
    "without it no sample counts as deleted; an empty one is the 9 bytes 01 30 ba 30 01 00 00 00 00",
    "snapshots fail",
  ),
  "tombstones-damaged": error(
    "refuses to start",
    "restore the file from another backup, or remove it: deleted samples come back then",
  ),
  "tombstones-content": warning(),

  // Between the blocks.
  "blocks-same-ulid": error("snapshots fail", "keep one of the two directories"),
  "blocks-superseded": error(
    "deletes the block",
    "leave the block out if the one that names it as a parent is sound: that one holds its samples",
  ),
  "blocks-overlap": warning("nothing has to be done: Prometheus merges the blocks later"),
} as const satisfies Record<string, Problem>;

/** A stable name of a kind of problem. */
export type ProblemKind = keyof typeof KINDS;

export const PROBLEMS: Readonly<Record<ProblemKind, Problem>> = KINDS;
