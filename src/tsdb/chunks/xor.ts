import type { BitReader } from "./bit-reader.ts";
import { type ChunkTimes, NOT_RISING } from "./decoder.ts";
import { BAD_WINDOW, NO_WINDOW } from "./xor-window.ts";

/** A load at a bit position gives 25 valid bits: a run of up to 12 samples of two bits. */
const LONGEST_RUN = 12;

/**
 * Encoding 1, float samples (prometheus `tsdb/chunkenc/xor.go`):
 *
 *     t0 varint · v0 64 bits · t1-t0 uvarint · v1 xor · then per sample: change of the delta · xor
 *
 * The delta's change is `0` none, or a signed integer of 14 (`10`), 17 (`110`), 20 (`1110`) or 64
 * (`1111`) bits. A value is the xor with the one before: `0` same · `10` the bits of the window at
 * hand · `11` a new window: 5 bits of leading zeros, 6 bits of width (0 means 64), the bits.
 *
 * Nearly all samples of the world are in this encoding, so this is a loop over locals that reads
 * the bits of the view itself, at most twice a sample, and once for a run of constant ones.
 */
export function decodeXor(
  reader: BitReader,
  view: DataView,
  count: number,
  times: ChunkTimes,
): string | undefined {
  let time = reader.varint();
  times.first = times.last = time;
  reader.skip(64);
  if (count === 1) return undefined;
  let delta = reader.uvarint();
  if (reader.failed) return undefined;
  if (delta === 0) return NOT_RISING;
  time += delta;

  const start = reader.at;
  const end = start + reader.left;
  let at = start;
  let width = 0;
  let word = view.getInt32(at >>> 3) << (at & 7);
  for (let sample = 1; ; ) {
    if (word >= 0) {
      at += 1;
    } else if ((word & 0x40000000) === 0) {
      if (width === 0) return NO_WINDOW;
      at += 2 + width;
    } else {
      width = (word >>> 19) & 63 || 64;
      if (((word >>> 25) & 31) + width > 64) return BAD_WINDOW;
      at += 13 + width;
    }
    sample++;

    // A zero bit for the delta and one for the value is a sample like the one before.
    for (;;) {
      if (at > end || sample === count) break;
      word = view.getInt32(at >>> 3) << (at & 7);
      if (word >>> 30 !== 0) break;
      const run = Math.min(Math.clz32(word) >>> 1, LONGEST_RUN, count - sample);
      time += delta * run;
      sample += run;
      at += 2 * run;
    }
    if (at > end || sample === count) break;

    if (word >= 0) {
      at += 1;
      word <<= 1;
    } else {
      let change: number;
      if ((word & 0x40000000) === 0) {
        change = (word >>> 16) & 0x3fff;
        if (change > 0x2000) change -= 0x4000;
        at += 16;
      } else if ((word & 0x20000000) === 0) {
        change = (word >>> 12) & 0x1ffff;
        if (change > 0x10000) change -= 0x20000;
        at += 20;
      } else if ((word & 0x10000000) === 0) {
        change = (word >>> 8) & 0xfffff;
        if (change > 0x80000) change -= 0x100000;
        at += 24;
      } else {
        reader.skip(at + 4 - reader.at);
        change = reader.twosComplement64();
        at += 68;
      }
      delta += change;
      if (at > end) break;
      if (delta <= 0) return NOT_RISING;
      word = view.getInt32(at >>> 3) << (at & 7);
    }
    time += delta;
  }
  times.last = time;
  reader.skip(at - reader.at);
  return time <= Number.MAX_SAFE_INTEGER ? undefined : NOT_RISING;
}
