/** A sequence of pseudo-random numbers that is the same in every run. */
export interface Randoms {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  /** A number from 0 to below 1, of 53 random bits. */
  unit(): number;
  bytes(count: number): Uint8Array;
}

/** @param seed names the sequence: a failure comes back with the same one. */
export function randoms(seed: string): Randoms {
  let state = Number(BigInt.asUintN(32, Bun.hash(seed) as bigint)) || 1;
  const next = () => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  return {
    below: (limit) => Math.floor((next() / 2 ** 32) * limit),
    unit: () => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53,
    bytes: (count) => Uint8Array.from({ length: count }, next),
  };
}
