import { setImmediate } from "node:timers/promises";
import { viewOf } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import type { Spool } from "./spool.ts";

/** How much is looked at before other work of the process gets its turn: some milliseconds' worth. */
export const WINDOW = 1024 * 1024;

/** No item of an index is larger: a series of a million chunks stays below. */
const LARGEST_ITEM = 16 * 1024 * 1024;

/** What a step answers to end the scan. */
export const STOP = -1;

/**
 * Takes whole items from the front of `bytes`, the first of which is at `position` of the file.
 * With `last`, no more bytes will come than there are: what isn't whole by then is damaged.
 *
 * @returns how many bytes it took, or {@link STOP}. Taking none asks for more of them.
 */
export type ScanStep = (bytes: Uint8Array, position: number, last: boolean) => number;

/** Walks the bytes `[start, end)` of a spooled file in windows. */
export async function scan(
  spool: Spool,
  start: number,
  end: number,
  step: ScanStep,
): Promise<void> {
  let window = WINDOW;
  for (let at = start; at < end; ) {
    const upTo = Math.min(at + window, end);
    const taken = step(spool.read(at, upTo), at, upTo === end || window >= LARGEST_ITEM);
    if (taken === STOP) return;
    at += taken;
    if (taken > 0) window = WINDOW;
    else if (upTo === end || window >= LARGEST_ITEM) return;
    else window *= 2;
    await setImmediate();
  }
}

/** The CRC-32C of the bytes `[start, end)` of a spooled file. */
export async function checksum(spool: Spool, start: number, end: number): Promise<number> {
  let crc = 0;
  for (let at = start; at < end; at += WINDOW) {
    const bytes = spool.read(at, Math.min(at + WINDOW, end));
    crc = crc32c(viewOf(bytes), 0, bytes.length, crc);
    await setImmediate();
  }
  return crc;
}
