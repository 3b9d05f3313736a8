/** The longest code that deflate knows (RFC 1951, section 3.2.7). */
const LONGEST = 15;
/** Literals and the end. */
const MOST_SYMBOLS = 257;

/**
 * What is worked on is kept: arrays made for each code would be megabytes of garbage a second. A key is a
 * symbol's weight and, below that, the symbol.
 */
const keys = new Float64Array(MOST_SYMBOLS);
const nodeWeights = new Float64Array(2 * MOST_SYMBOLS);
const parents = new Uint16Array(2 * MOST_SYMBOLS);
const depths = new Uint8Array(2 * MOST_SYMBOLS);
const KEY_SHIFT = 512;

/**
 * How many bits each symbol gets in a Huffman code of such counts; 0 for one that doesn't occur.
 *
 * @param counts at least one isn't 0; they are changed if the best code has too long ones
 * @param limit no code is longer
 * @param lengths gets the answer
 */
export function codeLengths(counts: Uint32Array, limit: number, lengths: Uint8Array): void {
  while (!fillLengths(counts, limit, lengths)) {
    // What is rare becomes less rare, until it isn't that far down any more.
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i] ?? 0;
      if (count > 0) counts[i] = (count >> 1) | 1;
    }
  }
}

/** False if a code got longer than the limit. */
function fillLengths(counts: Uint32Array, limit: number, lengths: Uint8Array): boolean {
  const leaves = sortByWeight(counts);
  buildTree(leaves);
  // From the root, which comes last, down.
  const root = Math.max(0, 2 * leaves - 2);
  depths[root] = 0;
  for (let node = root - 1; node >= 0; node--) {
    depths[node] = (depths[parents[node] ?? 0] ?? 0) + 1;
  }
  lengths.fill(0);
  for (let leaf = 0; leaf < leaves; leaf++) {
    // A lone symbol takes a bit, too.
    const depth = Math.max(1, depths[leaf] ?? 0);
    if (depth > limit) return false;
    lengths[(keys[leaf] ?? 0) % KEY_SHIFT] = depth;
  }
  return true;
}

/** Answers how many symbols occur: their keys come first, the lightest first. */
function sortByWeight(counts: Uint32Array): number {
  let leaves = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol] ?? 0;
    if (count > 0) keys[leaves++] = count * KEY_SHIFT + symbol;
  }
  keys.subarray(0, leaves).sort();
  for (let leaf = 0; leaf < leaves; leaf++) {
    nodeWeights[leaf] = Math.floor((keys[leaf] ?? 0) / KEY_SHIFT);
  }
  return leaves;
}

/** By two queues: the leaves, and the inner nodes, which come about in the order of their weights. */
function buildTree(leaves: number): void {
  let leaf = 0;
  let inner = leaves;
  for (let next = leaves; next < 2 * leaves - 1; next++) {
    let weight = 0;
    for (let children = 0; children < 2; children++) {
      const lightest =
        leaf < leaves && (inner === next || (nodeWeights[leaf] ?? 0) <= (nodeWeights[inner] ?? 0))
          ? leaf++
          : inner++;
      parents[lightest] = next;
      weight += nodeWeights[lightest] ?? 0;
    }
    nodeWeights[next] = weight;
  }
}

/** Where a code's length stands in what {@link makeCodes} answers; the code itself is below. */
export const LENGTH_SHIFT = 16;

const nextCodes = new Uint32Array(LONGEST + 2);

/**
 * The codes of these lengths (RFC 1951, section 3.2.2), their bits in the order in which they are written.
 *
 * @param codes gets the answer
 */
export function makeCodes(lengths: Uint8Array, codes: Uint32Array): void {
  nextCodes.fill(0);
  // Of each length, one further on: how many there are; then the first of them.
  for (const length of lengths)
    if (length > 0) nextCodes[length + 1] = (nextCodes[length + 1] ?? 0) + 1;
  for (let length = 1; length <= LONGEST; length++) {
    nextCodes[length] = ((nextCodes[length - 1] ?? 0) + (nextCodes[length] ?? 0)) << 1;
  }
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] ?? 0;
    const code = nextCodes[length] ?? 0;
    if (length > 0) nextCodes[length] = code + 1;
    codes[symbol] = length === 0 ? 0 : reversed(code, length) | (length << LENGTH_SHIFT);
  }
}

function reversed(code: number, length: number): number {
  let bits = 0;
  for (let i = 0; i < length; i++) bits |= ((code >> i) & 1) << (length - 1 - i);
  return bits;
}
