import { viewOf, zerosEnd } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import { checksum } from "../scan.ts";
import type { Spool } from "../spool.ts";

/** The bytes `[start, end)` of the index that belong to one section, its padding included. */
export interface Section {
  readonly start: number;
  readonly end: number;
}

/** The entry of a series begins at a multiple of this; the series' id is the quotient. */
export const SERIES_ALIGNMENT = 16;

const LENGTH_SIZE = 4;
const CRC_SIZE = 4;

/**
 * Finds the content of a section that is
 *
 *     its length, 32 bits · the content · CRC-32C of the content
 *
 * and checks its checksum. Bytes behind it are reported, as a whole section has none.
 *
 * @returns the content's place, or what is wrong.
 */
export async function openSection(
  spool: Spool,
  section: Section,
  findings: Findings,
): Promise<Section | string> {
  const room = section.end - section.start - LENGTH_SIZE - CRC_SIZE;
  if (room < 0) return "it is cut off";
  const start = section.start + LENGTH_SIZE;
  const length = viewOf(spool.read(section.start, start)).getUint32(0);
  if (length > room) return `it is said to have ${length} bytes, and has room for ${room}`;
  const end = start + length;
  const crc = await checksum(spool, start, end);
  const stored = viewOf(spool.read(end, end + CRC_SIZE)).getInt32(0);
  if (crc !== stored) return "its checksum is wrong";
  const rest = spool.read(end + CRC_SIZE, section.end);
  checkGap(rest, 0, rest.length, end + CRC_SIZE, 0, findings);
  return { start, end };
}

/**
 * Reports `bytes[start, end)`, which lie between two items of the index, unless they are zero and at
 * most `padding` of them.
 *
 * @param position where they are in the file.
 */
export function checkGap(
  bytes: Uint8Array,
  start: number,
  end: number,
  position: number,
  padding: number,
  findings: Findings,
): void {
  if (end - start > padding) {
    const text = `${end - start} bytes are no part of any section`;
    findings.add("index-gap", "index", position, text);
  } else if (zerosEnd(bytes, start, end) < end) {
    findings.add("index-gap", "index", position, "the padding is not zero");
  }
}
