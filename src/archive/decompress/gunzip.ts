import { createGunzip } from "node:zlib";
import { DamagedError } from "../../lib/errors.ts";
import { decode, Feed, OUTPUT_PIECE } from "./zlib-stream.ts";

/**
 * Decompresses gzip data of one or many members, on the thread pool, in bounded memory, no faster
 * than the consumer. Anything after the last member is damage, zeros as well: GNU gzip lets zeros
 * pass because tapes have them, but an archive on a disk has none unless a copy of it went wrong.
 *
 * @throws DamagedError if a checksum or a length is wrong, data are missing, or others follow.
 */
export async function* gunzip(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const feed = new Feed(input);
  const engine = createGunzip({ chunkSize: OUTPUT_PIECE });
  yield* decode("gzip", feed, engine);
  // At a zero byte in place of a header it ends without an error. It then takes no more.
  const used = engine.bytesWritten;
  if (used < feed.bytes) {
    throw new DamagedError(`gzip: the compressed data end at byte ${used}, but more bytes follow`);
  }
}
