import { codeLengths, LENGTH_SHIFT, makeCodes } from "./huffman.ts";

/** Input bytes for which one code is made: fewer make the whole no smaller. */
const BLOCK_SIZE = 256 * 1024;

/** The symbol after the last literal. */
const END = 256;
/** Codes of distances that are never used: some decoders want a complete code. */
const UNUSED_DISTANCES = [1, 1];
const LONGEST_CODE = 15;
const LONGEST_LENGTH_CODE = 7;
/** RFC 1951, section 3.2.7. */
const LENGTH_CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const CODE_MASK = (1 << LENGTH_SHIFT) - 1;

/**
 * A deflate stream (RFC 1951) of literals alone, each byte by a Huffman code, without a search for what
 * repeats. Where hardly anything does, that takes less than half of libdeflate's time.
 *
 * @param out has room for the input and 512 bytes for each 256 KiB of it, but at least one: no code is
 *   worse than 8 bits a byte, and what stands before a block takes less
 * @returns how many bytes of `out` it took
 */
export function deflateLiterals(input: Uint8Array, out: Uint8Array): number {
  const bits = new BitWriter(out);
  let from = 0;
  do {
    const to = Math.min(from + BLOCK_SIZE, input.length);
    countLiterals(input, from, to);
    codeLengths(counts, LONGEST_CODE, lengths);
    makeCodes(lengths, codes);
    bits.put(to === input.length ? 1 : 0, 1);
    putCodeLengths(bits);
    bits.putLiterals(input, from, to, codes);
    bits.putCode(codes, END);
    from = to;
  } while (from < input.length);
  return bits.finish();
}

/** How many bits these bytes take as literals, but for what stands before a block. */
export function literalBits(input: Uint8Array): number {
  countLiterals(input, 0, input.length);
  const asCounted = counts.slice();
  codeLengths(counts, LONGEST_CODE, lengths);
  return asCounted.reduce((sum, count, symbol) => sum + count * (lengths[symbol] ?? 0), 0);
}

/** What is worked on is kept, as in huffman.ts. */
const counts = new Uint32Array(END + 1);
/** Those at odd places: a count that was just stored isn't waited for if the same byte follows. */
const oddCounts = new Uint32Array(END);
const lengths = new Uint8Array(END + 1);
const codes = new Uint32Array(END + 1);

function countLiterals(input: Uint8Array, from: number, to: number): void {
  counts.fill(0);
  oddCounts.fill(0);
  for (let i = from; i < to; ) {
    const even = input[i++] ?? 0;
    counts[even] = (counts[even] ?? 0) + 1;
    if (i === to) break;
    const odd = input[i++] ?? 0;
    oddCounts[odd] = (oddCounts[odd] ?? 0) + 1;
  }
  for (let byte = 0; byte < END; byte++)
    counts[byte] = (counts[byte] ?? 0) + (oddCounts[byte] ?? 0);
  counts[END] = 1;
}

const allLengths = new Uint8Array(END + 1 + UNUSED_DISTANCES.length);
const uses = new Uint32Array(LENGTH_CODE_ORDER.length);
const lengthsOfLengths = new Uint8Array(LENGTH_CODE_ORDER.length);
const codesOfLengths = new Uint32Array(LENGTH_CODE_ORDER.length);

/** A block with codes of its own, and how long each is: told by codes as well, without repeats. */
function putCodeLengths(bits: BitWriter): void {
  allLengths.set(lengths);
  allLengths.set(UNUSED_DISTANCES, lengths.length);
  uses.fill(0);
  for (const length of allLengths) uses[length] = (uses[length] ?? 0) + 1;
  codeLengths(uses, LONGEST_LENGTH_CODE, lengthsOfLengths);
  makeCodes(lengthsOfLengths, codesOfLengths);
  bits.put(2, 2); // dynamic Huffman codes
  bits.put(0, 5); // 257 literals and lengths
  bits.put(UNUSED_DISTANCES.length - 1, 5);
  bits.put(LENGTH_CODE_ORDER.length - 4, 4);
  for (const length of LENGTH_CODE_ORDER) bits.put(lengthsOfLengths[length] ?? 0, 3);
  for (const length of allLengths) bits.putCode(codesOfLengths, length);
}

/** Bits into bytes, from the lowest on. Fewer than 16 wait to be written. */
class BitWriter {
  private at = 0;
  private waiting = 0;
  private count = 0;

  constructor(private readonly out: Uint8Array) {}

  /** At most 16 bits. */
  put(bits: number, count: number): void {
    this.waiting |= bits << this.count;
    this.count += count;
    if (this.count < 16) return;
    this.out[this.at++] = this.waiting;
    this.out[this.at++] = this.waiting >>> 8;
    this.waiting >>>= 16;
    this.count -= 16;
  }

  putCode(codes: Uint32Array, symbol: number): void {
    const code = codes[symbol] ?? 0;
    this.put(code & CODE_MASK, code >>> LENGTH_SHIFT);
  }

  /** As `putCode` for each byte, with everything in registers. */
  putLiterals(input: Uint8Array, from: number, to: number, codes: Uint32Array): void {
    const { out } = this;
    let { at, waiting, count } = this;
    for (let i = from; i < to; i++) {
      const code = codes[input[i] ?? 0] ?? 0;
      waiting |= (code & CODE_MASK) << count;
      count += code >>> LENGTH_SHIFT;
      if (count >= 16) {
        out[at] = waiting;
        out[at + 1] = waiting >>> 8;
        at += 2;
        waiting >>>= 16;
        count -= 16;
      }
    }
    this.at = at;
    this.waiting = waiting;
    this.count = count;
  }

  /** Writes what waits. @returns how many bytes there are */
  finish(): number {
    for (; this.count > 0; this.count -= 8) {
      this.out[this.at++] = this.waiting;
      this.waiting >>>= 8;
    }
    return this.at;
  }
}
