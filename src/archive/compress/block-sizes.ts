const KIB = 1024;

/**
 * Bytes of input in a block, at most: those of large files, and of the rest joined. Larger gzip members
 * save nothing, and larger zstd frames less than a hundredth, for 7 MB of memory per MiB; smaller ones
 * cost a twentieth of an index. Of the small things less is waited for, since the first are what a client
 * waits for.
 */
export const BLOCK_SIZES = {
  tgz: { large: 1024 * KIB, small: 128 * KIB },
  tzst: { large: 2048 * KIB, small: 128 * KIB },
} as const;

export const LARGEST_BLOCK = BLOCK_SIZES.tzst.large;

/** What doesn't compress grows by less: 5 bytes for each 64 KiB or so, a header and a trailer. */
export const BLOCK_OVERHEAD = 64 * KIB;
