import type { BlockMeta } from "../../../src/tsdb/meta.ts";

/**
 * What of a block may change unseen: it is all in meta.json, the one file without a checksum.
 * docs/verify.md lists the same, in these words.
 */
export interface Unprotected {
  readonly what: string;
  /** Whether a change is of this kind, and of no other. */
  readonly explains: (before: BlockMeta, after: BlockMeta) => boolean;
}

export const UNPROTECTED: readonly Unprotected[] = [
  {
    what: "white space, and names and values that neither Prometheus nor prombackup reads",
    explains: (before, after) => Bun.deepEquals(before, after),
  },
  {
    what: "`minTime` or `maxTime`, if the range gets wider by no more than 31 days at an end",
    explains: (before, after) =>
      isUpTo31Days(before.minTime - after.minTime) &&
      isUpTo31Days(after.maxTime - before.maxTime) &&
      Bun.deepEquals(after, { ...before, minTime: after.minTime, maxTime: after.maxTime }),
  },
  {
    what: "`numFloatSamples` or `numHistogramSamples`, if it isn't there any more",
    explains: (before, after) => {
      const { numFloatSamples, numHistogramSamples } = after.stats;
      const stats = { ...before.stats, numFloatSamples, numHistogramSamples };
      const same =
        (numFloatSamples ?? before.stats.numFloatSamples) === before.stats.numFloatSamples &&
        (numHistogramSamples ?? before.stats.numHistogramSamples) ===
          before.stats.numHistogramSamples;
      return same && Bun.deepEquals(after, { ...before, stats });
    },
  },
  {
    what: "`level`, `sources`, `parents` and `hints` of `compaction`, if Prometheus can still read them; no query depends on them",
    explains: (before, after) => {
      const { deletable } = before.compaction;
      const compaction = { ...after.compaction, deletable };
      return !Bun.deepEquals(before, after) && Bun.deepEquals(after, { ...before, compaction });
    },
  },
];

function isUpTo31Days(milliseconds: number): boolean {
  return milliseconds >= 0 && milliseconds <= 31 * 24 * 3600 * 1000;
}
