/**
 * Gives a buffer's memory back at once, where nobody looks at it any more. Megabytes that are left to
 * the garbage collector pile up faster than it comes by: a download then takes twice the memory, and
 * touching fresh memory costs a tenth of its time.
 */
export function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
