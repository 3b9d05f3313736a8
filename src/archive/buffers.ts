/**
 * Bytes of a buffer that is used again: the largest chunk of an archive. Twice as large ones are hardly
 * faster, and what clients leave behind is as large then, and waits for the garbage collector.
 */
export const LARGEST_PIECE = 512 * 1024;

/** Less is found faster than it is kept. */
const SMALL = 128 * 1024;

/** Bytes below which an array lives in the collector's own heap. */
const TINY = 1024;

/** How many wait for their next use: enough for one download, which has four in hand. */
const SPARES = 8;

const spares: ArrayBuffer[] = [];

/**
 * Memory for so many bytes, at most 512 KiB, with anything in it: what was freed last, if it can be.
 * Fresh memory costs as much as the reading of a file into it, since the system hands it out page by
 * page.
 */
export function allocate(size: number): Uint8Array<ArrayBuffer> {
  if (size <= SMALL || size > LARGEST_PIECE) return new Uint8Array(size);
  return new Uint8Array(spares.pop() ?? new ArrayBuffer(LARGEST_PIECE), 0, size);
}

/**
 * Gives a buffer's memory back at once, where nobody looks at it any more: what is left to the garbage
 * collector piles up faster than it comes by. To be called once; a later use of the memory is another's.
 */
export function free(bytes: Uint8Array): void {
  // To ask such a one for its buffer would make one.
  if (bytes.byteLength < TINY) return;
  const { buffer } = bytes;
  if (!(buffer instanceof ArrayBuffer)) return;
  if (spares.includes(buffer)) throw new Error("a buffer was freed twice");
  // Not transferred: a buffer that is new for each use has the garbage collector at work all the time.
  if (buffer.byteLength === LARGEST_PIECE && spares.length < SPARES) spares.push(buffer);
  else buffer.transfer(0);
}

/** The same for bytes that somebody else has made, unless more lies in their memory than they. */
export function freeWhole(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) free(bytes);
}
