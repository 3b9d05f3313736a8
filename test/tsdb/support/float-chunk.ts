import { BitWriter } from "./bit-writer.ts";
import type { ChunkModel } from "./block-writer.ts";
import { putUvarint, putVarint } from "./encode.ts";

/** A chunk of encoding 1 with samples of these times and the value 0. */
export function floatChunk(times: readonly number[]): ChunkModel {
  const first = times[0] ?? 0;
  const writer = new BitWriter().put(times.length, 16).putBytes(putVarint(first)).put(0, 64);
  let delta = 0;
  for (const [i, time] of times.entries()) {
    if (i === 0) continue;
    const next = time - (times[i - 1] ?? 0);
    if (i === 1) writer.putBytes(putUvarint(next));
    else if (next === delta) writer.put(0, 1);
    else writer.put(0b1111, 4).put(next - delta, 64);
    writer.put(0, 1);
    delta = next;
  }
  return { encoding: 1, data: writer.bytes(), first, last: times.at(-1) ?? first };
}
