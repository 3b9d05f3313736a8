import { free } from "../buffers.ts";
import type { TarPiece } from "../encode.ts";
import { BLOCK_SIZES } from "./block-sizes.ts";
import { cutBlocks } from "./blocks.ts";
import type { BlockFormat } from "./messages.ts";
import type { Workers } from "./workers.ts";

/**
 * Compresses a tar block by block, several at once, and hands the results on in order, in chunks of
 * at most 512 KiB.
 *
 * When the `return()` of a consumer that stops early resolves, all is released.
 *
 * @param lookahead how many blocks may be compressed, or lie ready, before the first is handed on
 * @throws what `pieces` throws, or a Failure of a thread or of a file that it read
 */
export async function* compressTar(
  pieces: AsyncIterable<TarPiece>,
  workers: Workers,
  format: BlockFormat,
  lookahead: () => number,
): AsyncGenerator<Uint8Array> {
  const jobs: Promise<Uint8Array[]>[] = [];
  // A client waits for the first, so nothing is done ahead of it.
  let most = () => 1;
  try {
    for await (const block of cutBlocks(pieces, workers, BLOCK_SIZES[format.format])) {
      const job = workers.compress(block, format);
      // One that fails while the consumer is elsewhere is told when its turn comes.
      job.catch(() => {});
      jobs.push(job);
      while (jobs.length >= most()) {
        yield* handOn((await jobs.shift()) ?? []);
        most = lookahead;
      }
    }
    while (jobs.length > 0) yield* handOn((await jobs.shift()) ?? []);
  } finally {
    for (const job of await Promise.allSettled(jobs)) {
      if (job.status === "fulfilled") job.value.forEach(free);
    }
  }
}

/** Chunks that nobody comes for are freed. */
function* handOn(chunks: Uint8Array[]): Generator<Uint8Array> {
  try {
    for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) yield chunk;
  } finally {
    chunks.forEach(free);
  }
}
