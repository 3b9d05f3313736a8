import type { BitReader } from "./bit-reader.ts";
import { type ChunkTimes, NOT_RISING } from "./decoder.ts";
import { StartTimes } from "./start-times.ts";
import { type ValueFault, XorWindow } from "./xor-window.ts";

/** Bits of the delta's change behind a prefix of two and three ones. */
const CHANGE_WIDTHS = [0, 0, 13, 20];

/**
 * Encoding 4, float samples with optional start timestamps (prometheus `tsdb/chunkenc/xor2.go`, 3.11
 * and later):
 *
 *     header byte of the start times · t0 varint · v0 64 bits · [start] · t1-t0 uvarint · V · [start]
 *
 * and per further sample, as `[start]` behind it, one of: `0` same delta and value · `10` same
 * delta, W · `110` 13 bits of change, V · `1110` 20 bits, V · `11110` 64 bits, V · `11111` same
 * delta, stale marker. The changes are in plain two's complement.
 *
 * V is `0` same · `10` window at hand · `110` new window · `111` stale marker; W is `0` window at
 * hand · `1` new window.
 */
export function decodeXor2(
  reader: BitReader,
  _view: DataView,
  count: number,
  times: ChunkTimes,
): string | undefined {
  const starts = new StartTimes(reader);
  const window = new XorWindow();
  times.first = times.last = reader.varint();
  reader.skip(64);
  starts.skip(reader, 0);
  let delta = 0;
  for (let sample = 1; sample < count && !reader.failed; sample++) {
    let fault: ValueFault;
    if (sample === 1) {
      delta = reader.uvarint();
      fault = skipV(reader, window);
    } else {
      const prefix = reader.ones(5);
      if (prefix >= 2 && prefix <= 4) {
        delta +=
          prefix === 4
            ? reader.twosComplement64()
            : twosComplement(reader, CHANGE_WIDTHS[prefix] ?? 0);
        fault = skipV(reader, window);
      } else if (prefix === 1) {
        fault = skipWindowed(reader, window, reader.bit() === 1);
      }
    }
    starts.skip(reader, sample);
    if (reader.failed) return undefined;
    if (fault !== undefined) return fault;
    times.last += delta;
    if (delta <= 0 || times.last > Number.MAX_SAFE_INTEGER) return NOT_RISING;
  }
  return undefined;
}

function skipV(reader: BitReader, window: XorWindow): ValueFault {
  const kind = reader.ones(3);
  return kind === 1 || kind === 2 ? skipWindowed(reader, window, kind === 2) : undefined;
}

function skipWindowed(reader: BitReader, window: XorWindow, isNew: boolean): ValueFault {
  const fault = isNew ? window.open(reader) : window.reuse();
  reader.skip(window.width);
  return fault;
}

function twosComplement(reader: BitReader, width: number): number {
  const raw = reader.bits(width);
  return raw >= 2 ** (width - 1) ? raw - 2 ** width : raw;
}
