import { type BlockMeta, parseBlockMeta } from "../../src/tsdb/meta.ts";

/** The name of a block that a letter stands for. */
export function ulid(letter: string): string {
  return `01${letter.repeat(24)}`;
}

export interface Made {
  readonly name?: string;
  readonly minTime?: number;
  readonly maxTime?: number;
  readonly sources?: readonly string[];
  readonly parents?: readonly string[];
}

/** What Prometheus would read of a block; letters stand for other blocks. */
export function blockMeta(made: Made): BlockMeta {
  const { name = "A", minTime = 1, maxTime = 2, sources = [name], parents = [] } = made;
  return parseBlockMeta(
    JSON.stringify({
      version: 1,
      ulid: ulid(name),
      minTime,
      maxTime,
      stats: { numSamples: 1, numSeries: 1, numChunks: 1 },
      compaction: {
        level: 1,
        sources: sources.map(ulid),
        parents: parents.map((parent) => ({ ulid: ulid(parent) })),
      },
    }),
  );
}
