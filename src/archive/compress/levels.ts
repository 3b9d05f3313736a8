/** How hard the compressors try: whole numbers. */
export interface CompressionLevels {
  /** libdeflate's, from {@link LEVEL_RANGES}. */
  readonly gzip: number;
  readonly zstd: number;
}

/**
 * Measured on TSDB blocks, dense and scraped (docs/performance.md): above these levels the time grows
 * several times faster than the size shrinks.
 */
export const DEFAULT_LEVELS: CompressionLevels = { gzip: 1, zstd: 2 };

/** Above 19, a zstd thread needs hundreds of megabytes. */
export const LEVEL_RANGES = { gzip: { from: 1, to: 12 }, zstd: { from: 1, to: 19 } } as const;
