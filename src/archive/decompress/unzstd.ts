import { createZstdDecompress } from "node:zlib";
import { Failure } from "../../lib/errors.ts";
import { decode, Feed, OUTPUT_PIECE } from "./zlib-stream.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/**
 * Decompresses zstd data of one or many frames, on the thread pool, in bounded memory (mostly the
 * frame's window, 128 MiB at most), no faster than the consumer. A frame without a checksum can
 * have flipped bits that nothing shows.
 *
 * @throws DamagedError if the structure, a checksum or a length is wrong, data are missing or
 *   others follow, or a frame needs a dictionary or a larger window.
 */
export async function* unzstd(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  const feed = new Feed(input, (piece) => frames.push(piece));
  const engine = createZstdDecompress({ chunkSize: OUTPUT_PIECE });
  yield* decode("zstd", feed, engine);
  frames.end();
  if (engine.bytesWritten < feed.bytes) {
    throw new Failure(`zstd: the decompressor stopped at byte ${engine.bytesWritten}`);
  }
}
