import { crc32 } from "node:zlib";
import { free } from "../buffers.ts";
import type { BlockInput } from "./compress-block.ts";
import { deflateLiterals, literalBits } from "./deflate-literals.ts";

/** fflate is as good as libdeflate on few bytes, and needs ten times as long for many. */
const FFLATE_LIMIT = 16 * 1024;
/** Higher levels take twice the time for the same size. */
const FFLATE_LEVEL = 3;

/** By these bytes from its middle a block is judged. */
const SAMPLE_SIZE = 32 * 1024;
/** What repeats must save so large a part, or it isn't searched for. */
const WORTH_A_SEARCH = 0.05;

/** Method 8 (deflate), no flags, no time, the fastest algorithm, an unknown system (RFC 1952, 2.3). */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255);
const TRAILER_SIZE = 8;

/** Kept, since the touching of fresh memory takes as long as the search in it. */
let scratch = new Uint8Array(0);

/** A gzip member (RFC 1952) without a name or a clock; see compress-block.ts. */
export async function gzipBlock(
  { bytes, content }: BlockInput,
  level: number,
  output: Uint8Array,
): Promise<number> {
  if (bytes.length <= FFLATE_LIMIT) return handOver(await gzipSmall(new Uint8Array(bytes)), output);
  // libdeflate looks twice at its input, and would trust the second look.
  const own = ownCopy(bytes);
  const search = level > 1 || content !== "chunks" || repeats(own);
  return search ? handOver(libdeflate(own, level), output) : gzipLiterals(own, output);
}

function handOver(member: Uint8Array, output: Uint8Array): number {
  const { length } = member;
  output.set(member);
  free(member);
  return length;
}

/** Valid until the next call. */
function ownCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (scratch.length < bytes.length) scratch = new Uint8Array(bytes.length);
  const own = scratch.subarray(0, bytes.length);
  own.set(bytes);
  return own;
}

/** Loaded when it is needed first: it takes 5 MB of each thread's memory. */
async function gzipSmall(input: Uint8Array): Promise<Uint8Array> {
  const { gzipSync } = await import("fflate");
  return gzipSync(input, { level: FFLATE_LEVEL, mtime: 0 });
}

/** Bun's types stop at zlib's levels. */
function libdeflate(input: Uint8Array<ArrayBuffer>, level: number): Uint8Array {
  return Bun.gzipSync(input, { library: "libdeflate", level: level as 1 });
}

/**
 * Whether there is enough to find. In dense samples there isn't, and libdeflate takes most of its time
 * for the search.
 */
function repeats(input: Uint8Array<ArrayBuffer>): boolean {
  const from = Math.max(0, (input.length - SAMPLE_SIZE) >> 1);
  const sample = input.subarray(from, from + SAMPLE_SIZE);
  const member = libdeflate(sample, 1);
  const searched = member.length - HEADER.length - TRAILER_SIZE;
  free(member);
  return searched < (1 - WORTH_A_SEARCH) * (literalBits(sample) / 8);
}

function gzipLiterals(input: Uint8Array, output: Uint8Array): number {
  output.set(HEADER);
  const end = HEADER.length + deflateLiterals(input, output.subarray(HEADER.length));
  const trailer = new DataView(output.buffer, output.byteOffset + end, TRAILER_SIZE);
  trailer.setUint32(0, crc32(input), true);
  trailer.setUint32(4, input.length, true);
  return end + TRAILER_SIZE;
}
