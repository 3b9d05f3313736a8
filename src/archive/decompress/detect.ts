import { DamagedError } from "../../lib/errors.ts";
import type { ArchiveFormat } from "../format.ts";
import { shown } from "../shown.ts";
import { BLOCK_SIZE, hasValidChecksum, isZeros } from "../tar/decode.ts";
import { isZstdMagic } from "./zstd-frames.ts";

/** How many of an archive's first bytes {@link detectFormat} wants to see. */
export const DETECT_BYTES = BLOCK_SIZE;

/** "ustar" at 257 is in all but the oldest tars. */
const USTAR_AT = 257;

/** Formats that people do compress with; told by name so that the remedy is plain. */
const FOREIGN: readonly (readonly [prefix: string, name: string])[] = [
  ["\xfd7zXZ\0", "xz data"],
  ["BZh", "bzip2 data"],
  ["PK\x03\x04", "a zip file"],
  ["\x04\x22\x4d\x18", "lz4 data"],
];

/**
 * Tells an archive's format by its first bytes (all of them, if it has fewer than 512).
 *
 * @throws DamagedError that says what the bytes look like, if they are no archive's.
 */
export function detectFormat(head: Uint8Array): ArchiveFormat {
  if (head.length === 0) throw new DamagedError("not an archive: it is empty");
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length >= 2 && view.getUint16(0) === 0x1f8b) return "tgz";
  if (head.length >= 4 && isZstdMagic(view.getUint32(0, true))) return "tzst";
  if (looksLikeTar(head)) return "tar";
  throw new DamagedError(`not an archive: ${looksLike(head)}`);
}

/** A header damaged in other places is still the tar reader's to explain. */
function looksLikeTar(head: Uint8Array): boolean {
  if (head.length < BLOCK_SIZE) return false;
  const magic = latin1(head.subarray(USTAR_AT, USTAR_AT + 5));
  return hasValidChecksum(head) || magic === "ustar" || isZeros(head);
}

function looksLike(head: Uint8Array): string {
  const start = latin1(head);
  const foreign = FOREIGN.find(([prefix]) => start.startsWith(prefix));
  if (foreign) return `it is ${foreign[1]}, which is not read here: unpack it first`;
  if (/^\s*<(!doctype html|html|\?xml)/i.test(start)) {
    return "it is a web page, perhaps an error message of a proxy";
  }
  const line = start.trim().split(/[\r\n]/)[0] ?? "";
  if (line.length > 0 && /^[\t -~]+$/.test(line))
    return `it begins with the text "${shown(line.slice(0, 80))}"`;
  if (head.length < DETECT_BYTES) return `it has only ${head.length} bytes`;
  return `it begins with the bytes ${head.subarray(0, 4).toHex()}`;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
