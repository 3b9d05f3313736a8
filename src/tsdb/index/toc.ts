import { uint64, viewOf } from "../bytes.ts";
import { crc32c } from "../crc32c.ts";
import type { Findings } from "../findings.ts";
import type { Spool } from "../spool.ts";
import type { Section } from "./section.ts";

const MAGIC = 0xbaaad700 | 0;
const HEADER_SIZE = 5;
const TOC_SIZE = 6 * 8 + 4;

/** Where the sections of an index are. */
export interface IndexLayout {
  readonly symbols: Section;
  readonly series: Section;
  /** Written until Prometheus 3.6, and read by none since 2.13; a few bytes of padding since. */
  readonly labelIndices: Section;
  readonly postings: Section;
  /** Empty since Prometheus 3.7. */
  readonly labelOffsetTable: Section;
  readonly postingsOffsetTable: Section;
}

/**
 * Reads the two ends of an index (prometheus `tsdb/index/index.go`): the header,
 *
 *     BA AA D7 00 · version, a byte
 *
 * and the table of contents, the last 52 bytes: the positions of the sections as six 64-bit integers
 * (symbols, series, label indices, label offset table, postings, postings offset table) · CRC-32C of
 * the 48 bytes. The positions are those before a section's padding.
 *
 * @returns undefined, with a finding, if the sections can't be told.
 */
export function readLayout(spool: Spool, findings: Findings): IndexLayout | undefined {
  if (spool.size < HEADER_SIZE + TOC_SIZE) {
    const text = `the index has only ${spool.size} bytes: it is cut off`;
    findings.add("index-header", "index", undefined, text);
    return undefined;
  }
  return checkHeader(spool, findings) ? readToc(spool, findings) : undefined;
}

function checkHeader(spool: Spool, findings: Findings): boolean {
  const header = spool.read(0, HEADER_SIZE);
  const version = header[4] ?? 0;
  if (viewOf(header).getInt32(0) !== MAGIC) {
    findings.add("index-header", "index", 0, "it does not begin with the magic number of an index");
    return false;
  }
  if (version === 1) {
    const text =
      "its version is 1, which no Prometheus since 2.1 wrote: its content can't be checked, and " +
      "if the byte is damaged every query fails";
    findings.add("index-version-1", "index", 4, text);
    return false;
  }
  if (version !== 2 && version !== 3) {
    findings.add("index-header", "index", 4, `its version ${version} is unknown`);
    return false;
  }
  if (version === 3) {
    const text = "its version is 3, which no Prometheus writes; one before 2.55 refuses to start";
    findings.add("index-version-3", "index", 4, text);
  }
  return true;
}

function readToc(spool: Spool, findings: Findings): IndexLayout | undefined {
  const end = spool.size - TOC_SIZE;
  const toc = viewOf(spool.read(end, spool.size));
  if (crc32c(toc, 0, TOC_SIZE - 4) !== toc.getInt32(TOC_SIZE - 4)) {
    const text = "the checksum of its table of contents, the last 52 bytes, is wrong";
    findings.add("index-toc", "index", end, text);
    return undefined;
  }
  const at = (entry: number) => uint64(toc, 8 * entry);
  const starts = [at(0), at(1), at(2), at(4), at(3), at(5), end] as const;
  const [symbols, series, labelIndices, postings, labelOffsets, postingsOffsets] = starts;
  const ascending = starts.every((start, i) => start >= (starts[i - 1] ?? HEADER_SIZE));
  if (!ascending || symbols === series || postingsOffsets === end) {
    const text = `its table of contents places the sections at ${starts.slice(0, 6).join(", ")}`;
    findings.add("index-toc", "index", end, `${text}: not one behind the other`);
    return undefined;
  }
  return {
    symbols: { start: symbols, end: series },
    series: { start: series, end: labelIndices },
    labelIndices: { start: labelIndices, end: postings },
    postings: { start: postings, end: labelOffsets },
    labelOffsetTable: { start: labelOffsets, end: postingsOffsets },
    postingsOffsetTable: { start: postingsOffsets, end },
  };
}
