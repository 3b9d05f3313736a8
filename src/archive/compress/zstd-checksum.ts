/** RFC 8878, section 3.1.1.1.1: the frame header's descriptor follows the magic number. */
const DESCRIPTOR_AT = 4;
const CONTENT_CHECKSUM_FLAG = 0b100;

/**
 * Makes a frame without a content checksum one with it, so that a reader finds any flipped bit: the
 * low four bytes of the content's XXH64, little-endian, end the frame (RFC 8878, section 3.1.1).
 * Bun's fast compressor doesn't do it, and the one that does needs half as much time again.
 *
 * @param frame is changed in place
 * @returns the frame in two parts, which saves a copy
 */
export function addChecksum(frame: Uint8Array, content: Uint8Array): [Uint8Array, Uint8Array] {
  const descriptor = frame[DESCRIPTOR_AT];
  if (descriptor === undefined || (descriptor & CONTENT_CHECKSUM_FLAG) !== 0) {
    throw new Error("not a zstd frame without a checksum");
  }
  frame[DESCRIPTOR_AT] = descriptor | CONTENT_CHECKSUM_FLAG;
  const checksum = new Uint8Array(4);
  const low = Number(BigInt.asUintN(32, Bun.hash.xxHash64(content, 0n)));
  new DataView(checksum.buffer).setUint32(0, low, true);
  return [frame, checksum];
}
