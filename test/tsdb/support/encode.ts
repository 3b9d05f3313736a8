/** Unsigned LEB128; a negative number as its 64 bits. */
export function putUvarint(value: number | bigint): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

/** The zigzag form of {@link putUvarint}. */
export function putVarint(value: number | bigint): number[] {
  const number = BigInt(value);
  return putUvarint(number < 0n ? -number * 2n - 1n : number * 2n);
}

export function putUint32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export function putUint64(value: number): number[] {
  return [...putUint32(Math.floor(value / 2 ** 32)), ...putUint32(value % 2 ** 32)];
}
