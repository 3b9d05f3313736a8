import { viewOf } from "../bytes.ts";
import { crc32c } from "../crc32c.ts";
import type { Findings } from "../findings.ts";
import { STOP, scan } from "../scan.ts";
import type { Spool } from "../spool.ts";
import { checkGap, openSection, type Section } from "./section.ts";

const ALIGNMENT = 4;
const FRAME_SIZE = 8;

/**
 * Checks the two sections for label values, which Prometheus wrote until 3.6 and hasn't read since
 * 2.13: the label indices, each
 *
 *     length, 32 bits · names, number of values and values as 32 bits each · CRC-32C
 *
 * at a multiple of 4, and the table of where they are, a section of its own. As nobody reads them,
 * damage does no harm; but a copy that is damaged here may be so elsewhere.
 */
export async function checkLabelIndices(
  spool: Spool,
  indices: Section,
  table: Section,
  findings: Findings,
): Promise<void> {
  await scan(spool, indices.start, indices.end, (bytes, position, last) =>
    takeIndices(bytes, position, last, findings),
  );
  if (table.start === table.end) return;
  const content = await openSection(spool, table, findings);
  if (typeof content === "string") {
    const text = `the label offset table, which Prometheus does not read, is damaged: ${content}`;
    findings.add("label-index", "index", table.start, text);
  }
}

/** A step of {@link scan}. */
function takeIndices(
  bytes: Uint8Array,
  position: number,
  last: boolean,
  findings: Findings,
): number {
  const view = viewOf(bytes);
  for (let at = 0; ; ) {
    const start = at + ((ALIGNMENT - ((position + at) % ALIGNMENT)) % ALIGNMENT);
    if (last && start >= bytes.length) {
      checkGap(bytes, at, bytes.length, position + at, ALIGNMENT - 1, findings);
      return bytes.length;
    }
    const room = bytes.length - start - FRAME_SIZE;
    const length = room < 0 ? 0 : view.getUint32(start);
    if (length > room) {
      if (!last) return at;
      const text = "the label indices, which Prometheus does not read, are damaged: one is cut off";
      findings.add("label-index", "index", position + start, text);
      return STOP;
    }
    checkGap(bytes, at, start, position + at, ALIGNMENT - 1, findings);
    const crcAt = start + 4 + length;
    if (crc32c(view, start + 4, crcAt) !== view.getInt32(crcAt)) {
      const text = "a label index, which Prometheus does not read, has a wrong checksum";
      findings.add("label-index", "index", position + start, text);
    }
    at = crcAt + 4;
  }
}
