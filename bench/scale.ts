/** How much a run of the benchmark does. */
export interface Scale {
  /** Bytes of the main snapshots. */
  readonly bytes: number;
  /** Bytes where the size doesn't matter, only that it is many times the memory. */
  readonly smaller: number;
  /** How often each thing is measured; the median counts. */
  readonly runs: number;
  /** How many times the dense snapshot the largest one is. */
  readonly growth: number;
}

export const FULL: Scale = { bytes: 1e9, smaller: 25e7, runs: 5, growth: 10 };
export const QUICK: Scale = { bytes: 1e8, smaller: 1e8, runs: 3, growth: 3 };
