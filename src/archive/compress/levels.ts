/**
 * How hard the compressors try. Measured on TSDB blocks, dense (a random walk) and scraped: above
 * these levels the time grows several times faster than the size shrinks.
 */

/** Of Bun's libdeflate, for the contents of files over 1 MiB. */
export const GZIP_LARGE_LEVEL = 1;

/** Of fflate, for everything else in a `tgz`. */
export const GZIP_SMALL_LEVEL = 3;

export const ZSTD_LEVEL = 2;
