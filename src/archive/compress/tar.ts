import type { TarPiece } from "../encode.ts";
import { free } from "../free.ts";
import { fillBlocks } from "./blocks.ts";
import type { BlockPool } from "./pool.ts";

/** Nothing larger is handed on at once: whoever hashes it holds up the event loop meanwhile. */
const LARGEST_CHUNK = 1024 * 1024;

/**
 * Compresses a tar block by block, several at once, and hands the results on in order.
 *
 * When the `return()` of a consumer that stops early resolves, all is released.
 *
 * @param lookahead how many blocks may be compressed, or lie ready, before the first is handed on
 * @throws what `pieces` throws, or a Failure of the compressor
 */
export async function* compressTar(
  pieces: AsyncIterable<TarPiece>,
  pool: BlockPool,
  lookahead: () => number,
): AsyncGenerator<Uint8Array> {
  const jobs: Promise<Uint8Array[]>[] = [];
  try {
    for await (const { block, length, kind } of fillBlocks(pieces, pool)) {
      const job = pool.compress(block, length, kind);
      // One that fails while the consumer is elsewhere is told when its turn comes.
      job.catch(() => {});
      jobs.push(job);
      while (jobs.length >= lookahead()) yield* chunks(await jobs.shift());
    }
    while (jobs.length > 0) yield* chunks(await jobs.shift());
  } finally {
    await Promise.allSettled(jobs);
  }
}

/** Large parts are copied into chunks as these are asked for, and freed after the last. */
function* chunks(parts: readonly Uint8Array[] = []): Generator<Uint8Array> {
  for (const part of parts) {
    if (part.length <= LARGEST_CHUNK) {
      yield part;
      continue;
    }
    for (let at = 0; at < part.length; at += LARGEST_CHUNK) {
      // Not slice(): what Bun.zstdCompress answers is a Buffer, whose slice() shares its memory.
      yield new Uint8Array(part.subarray(at, at + LARGEST_CHUNK));
    }
    free(part);
  }
}
