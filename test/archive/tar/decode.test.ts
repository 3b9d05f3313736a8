import { describe, expect, test } from "bun:test";
import { decodeHeader, decodeName, hasValidChecksum } from "../../../src/archive/tar/decode.ts";
import { checksummed, flipped, type HeaderFields, header } from "../read-support.ts";

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function decode(fields: HeaderFields) {
  const { name, ...rest } = decodeHeader(header(fields));
  return { name: decodeName(name), ...rest };
}

describe("decodeHeader", () => {
  test("reads the fields", () => {
    const fields = { name: "a/b", size: 0o777, mtime: 1700000000, typeflag: "5" };
    expect(decode(fields)).toEqual(fields);
  });

  test("takes NUL for the type of a file, as old tars have it", () => {
    expect(decode({ typeflag: "\0" }).typeflag).toBe("0");
  });

  const name = "n".repeat(100);
  const prefix = "p".repeat(155);
  test("joins prefix and name, of full length too, but not in GNU's variant", () => {
    expect(decode({ name, prefix }).name).toBe(`${prefix}/${name}`);
    expect(decode({ name: "b", prefix: "a" }).name).toBe("a/b");
    expect(decode({ name: "b", prefix: "00000000000", magic: "ustar  \0" }).name).toBe("b");
  });

  test("takes a header without magic for the seventh edition's", () => {
    expect(decode({ name: "old", magic: "", prefix: "p", devMajor: "0000000" }).name).toBe("old");
  });

  test.each(["ustar", "ustar \0", "ustar\x0001", "USTAR\x0000", "junk"])(
    "refuses magic %j",
    (magic) => {
      expect(() => decode({ magic })).toThrow("its magic is none that a tar writes");
    },
  );

  test.each([
    ["00000000017", 0o17],
    ["       17 ", 0o17],
    ["17\0\0\0\0\0\0\0\0\0\0", 0o17],
    ["777777777777", 0o777777777777],
    ["", 0],
    [bytes(0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1), 2 ** 33 + 1],
    [bytes(0x80, 0, 0, 0, 0, 0x1f, 255, 255, 255, 255, 255, 255), Number.MAX_SAFE_INTEGER],
  ])("reads the size %j", (size, value) => {
    expect(decode({ size }).size).toBe(value);
  });

  test.each([
    ["0000000008"],
    ["12x"],
    ["-17"],
    ["1 7"],
    ["1\x007"],
    [bytes(0x80, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0)],
    [bytes(0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    [bytes(0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
  ])("refuses the size %j", (size) => {
    expect(() => decode({ size })).toThrow("its size is not a number that fits");
  });

  test("reads a time before 1970, but refuses a negative size", () => {
    const minusTwo = bytes(...Array(11).fill(255), 254);
    expect(decode({ mtime: minusTwo }).mtime).toBe(-2);
    expect(() => decode({ size: minusTwo })).toThrow("its size is negative");
  });

  test("reads a large number as a user, but no rubbish", () => {
    expect(decode({ uid: bytes(0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff) }).size).toBe(0);
    expect(() => decode({ uid: "nobody" })).toThrow("its uid is not a number");
    expect(() => decode({ devMajor: "nobody" })).toThrow("its devMajor is not a number");
  });

  test("finds every turned bit but those that leave the checksum's value alone", () => {
    const block = header({ name: "x", size: 12345, mtime: 1700000000 });
    for (let bit = 0; bit < block.length * 8; bit++) {
      const valid = hasValidChecksum(flipped(block, bit));
      // A leading zero that becomes a space, the NUL and the space after the digits.
      const sameValue = [148 * 8 + 4, 154 * 8 + 5, 155 * 8 + 5].includes(bit);
      expect([bit, valid]).toEqual([bit, sameValue]);
    }
  });

  test("takes no block of another size, no zeros and no text for a header", () => {
    expect(hasValidChecksum(header().subarray(0, 511))).toBe(false);
    expect(hasValidChecksum(new Uint8Array(512))).toBe(false);
    expect(hasValidChecksum(new Uint8Array(512).fill(0x20))).toBe(false);
  });

  test("counts bytes of 128 and more as they are", () => {
    const block = header({ name: bytes(0xc3, 0xbc) });
    expect(hasValidChecksum(block)).toBe(true);
    expect(checksummed(block)).toEqual(block);
  });
});

describe("decodeName", () => {
  test.each([
    [bytes(), "its name is empty"],
    [bytes(65, 0, 66), "its name has a NUL byte in it"],
    [bytes(65, 0xff), "its name is not UTF-8"],
    [bytes(0xc3), "its name is not UTF-8"],
  ])("refuses %j", (name, message) => {
    expect(() => decodeName(name)).toThrow(message);
  });

  test("reads UTF-8, and keeps a byte order mark", () => {
    expect(decodeName(bytes(0xef, 0xbb, 0xbf, 0xc3, 0xbc))).toBe("\ufeffü");
  });
});
