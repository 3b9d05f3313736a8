/** The archive formats on the wire (`format=` of a download) and on the command line (`--format`). */
export const ARCHIVE_FORMATS = ["tar", "tgz", "tzst"] as const;

export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

/** Those that a compressor makes of a tar. */
export type CompressedFormat = Exclude<ArchiveFormat, "tar">;

export function isArchiveFormat(text: string): text is ArchiveFormat {
  return ARCHIVE_FORMATS.some((format) => format === text);
}

/** What a file of each format ends in, and what HTTP calls it. */
export const FORMAT_DETAILS: Record<ArchiveFormat, { extension: string; contentType: string }> = {
  tar: { extension: ".tar", contentType: "application/x-tar" },
  tgz: { extension: ".tar.gz", contentType: "application/gzip" },
  tzst: { extension: ".tar.zst", contentType: "application/zstd" },
};
