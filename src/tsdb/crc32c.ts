/**
 * CRC-32C (Castagnoli: reflected polynomial 0x82F63B78, all-ones at both ends), the checksum of
 * every TSDB file; the runtime has only the other CRC-32 (IEEE). Computed sixteen bytes a step from
 * sixteen tables ("slicing by 16"), at more than 1 GB/s in plain TypeScript. Reading through a
 * DataView is what makes it so: four loads for the sixteen bytes.
 */

const POLYNOMIAL = 0x82f63b78;
const TABLES = makeTables();

/** Table k, at 256·k, gives the effect of a byte that k more bytes follow. */
function makeTables(): Int32Array {
  const tables = new Int32Array(16 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const previous = tables[at - 256] ?? 0;
    tables[at] = (previous >>> 8) ^ (tables[previous & 255] ?? 0);
  }
  return tables;
}

/**
 * The checksum of the bytes `[start, end)` of a view, as a signed 32-bit integer (so that it compares
 * with `getInt32`). To continue over a following piece, hand in the checksum so far.
 */
export function crc32c(view: DataView, start: number, end: number, soFar = 0): number {
  const t = TABLES;
  let crc = ~soFar;
  // Integers of the engine's integer type: one of the other kind, and it gives up on fast loads.
  let at = start | 0;
  const stop = end | 0;
  for (const stop16 = stop - 15; at < stop16; at += 16) {
    const b = view.getInt32(at + 4, true);
    const c = view.getInt32(at + 8, true);
    const d = view.getInt32(at + 12, true);
    const ofRest =
      (t[2816 + (b & 255)] ?? 0) ^
      (t[2560 + ((b >>> 8) & 255)] ?? 0) ^
      (t[2304 + ((b >>> 16) & 255)] ?? 0) ^
      (t[2048 + (b >>> 24)] ?? 0) ^
      (t[1792 + (c & 255)] ?? 0) ^
      (t[1536 + ((c >>> 8) & 255)] ?? 0) ^
      (t[1280 + ((c >>> 16) & 255)] ?? 0) ^
      (t[1024 + (c >>> 24)] ?? 0) ^
      (t[768 + (d & 255)] ?? 0) ^
      (t[512 + ((d >>> 8) & 255)] ?? 0) ^
      (t[256 + ((d >>> 16) & 255)] ?? 0) ^
      (t[d >>> 24] ?? 0);
    // Last, what waits for the step before: the processor does the rest meanwhile.
    const a = crc ^ view.getInt32(at, true);
    crc =
      ofRest ^
      ((t[3840 + (a & 255)] ?? 0) ^
        (t[3584 + ((a >>> 8) & 255)] ?? 0) ^
        ((t[3328 + ((a >>> 16) & 255)] ?? 0) ^ (t[3072 + (a >>> 24)] ?? 0)));
  }
  for (const stop4 = stop - 3; at < stop4; at += 4) {
    const a = crc ^ view.getInt32(at, true);
    crc =
      (t[768 + (a & 255)] ?? 0) ^
      (t[512 + ((a >>> 8) & 255)] ?? 0) ^
      (t[256 + ((a >>> 16) & 255)] ?? 0) ^
      (t[a >>> 24] ?? 0);
  }
  for (; at < stop; at++) crc = (crc >>> 8) ^ (t[(crc ^ view.getUint8(at)) & 255] ?? 0);
  return ~crc;
}

/** A checksum as a hexadecimal dump of the file shows it. */
export function crcText(crc: number): string {
  return (crc >>> 0).toString(16).padStart(8, "0");
}
