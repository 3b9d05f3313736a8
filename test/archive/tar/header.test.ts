import { describe, expect, test } from "bun:test";
import { decodeHeader } from "../../../src/archive/tar/decode.ts";
import {
  encodeTarHeader,
  padded,
  type TarHeader,
  tarHeaderSize,
} from "../../../src/archive/tar/header.ts";
import { decodePax } from "../../../src/archive/tar/pax-decode.ts";

const utf8 = new TextDecoder();
const GIB = 1024 ** 3;

function header(change: Partial<TarHeader>): TarHeader {
  return { path: "aa-bb/file", type: "file", size: 5, mtime: 1_795_000_000, ...change };
}

/** What a reader of pax makes of a header, by the decoder of this project. */
function read(bytes: Uint8Array) {
  const first = decodeHeader(bytes.subarray(0, 512));
  if (first.typeflag !== "x") return { ...first, name: utf8.decode(first.name), pax: {} };
  const pax = decodePax(bytes.subarray(512, 512 + first.size));
  const own = decodeHeader(bytes.subarray(-512));
  const name = utf8.decode(pax.path ?? own.name);
  return { ...own, name, size: pax.size ?? own.size, mtime: pax.mtime ?? own.mtime, pax };
}

describe("encodeTarHeader", () => {
  test("a file, field by field", () => {
    const block = Buffer.from(encodeTarHeader(header({ size: 0o1234, mtime: 0o17 })));
    const text = (start: number, length: number) => block.toString("latin1", start, start + length);
    expect(block.length).toBe(512);
    expect(text(0, 100)).toBe("aa-bb/file".padEnd(100, "\0"));
    expect(text(100, 24)).toBe("0000644\x000000000\x000000000\0");
    expect(text(124, 24)).toBe("00000001234\x0000000000017\0");
    expect(text(148, 8)).toMatch(/^[0-7]{6}\0 $/);
    expect(text(156, 1)).toBe("0");
    expect(text(257, 8)).toBe("ustar\x0000");
    expect(text(265, 64)).toBe("\0".repeat(64));
    expect(text(329, 16)).toBe("0000000\x000000000\0");
    expect(text(345, 167)).toBe("\0".repeat(167));
  });

  test("a directory has mode 0755 and a slash", () => {
    const block = encodeTarHeader(header({ type: "directory", size: 0 }));
    expect(read(block)).toMatchObject({ name: "aa-bb/file/", typeflag: "5", size: 0 });
    expect(Buffer.from(block).toString("latin1", 100, 107)).toBe("0000755");
  });

  test("every length of a path, of one part and of many, comes back and has the size foretold", () => {
    for (const type of ["file", "directory"] as const) {
      for (const make of [onePart, manyParts]) {
        for (let length = 1; length <= 1100; length++) {
          const one = header({ path: make(length), type });
          const bytes = encodeTarHeader(one);
          expect(bytes.length).toBe(tarHeaderSize(one));
          expect(read(bytes).name).toBe(type === "file" ? one.path : `${one.path}/`);
        }
      }
    }
  });

  test("a path stays in ustar while a slash divides it into 155 and 100 bytes", () => {
    const whole = (prefix: number, name: number) => `${"p".repeat(prefix)}/${"n".repeat(name)}`;
    for (const [path, size] of [
      ["n".repeat(100), 512],
      ["n".repeat(101), 1536],
      [whole(155, 100), 512],
      [whole(156, 100), 1536],
      [whole(155, 101), 1536],
      [whole(1, 100), 512],
    ] as const) {
      expect([path.length, tarHeaderSize(header({ path }))]).toEqual([path.length, size]);
    }
    // The slash that ends it is no place to divide a directory's name.
    expect(tarHeaderSize(header({ path: "n".repeat(99), type: "directory" }))).toBe(512);
    expect(tarHeaderSize(header({ path: "n".repeat(100), type: "directory" }))).toBe(1536);
    expect(tarHeaderSize(header({ path: whole(155, 99), type: "directory" }))).toBe(512);
    expect(tarHeaderSize(header({ path: whole(155, 100), type: "directory" }))).toBe(1536);
  });

  test("a name that is not ASCII has a pax record, and its bytes in ustar as well", () => {
    const bytes = encodeTarHeader(header({ path: "aa-bb/é😀" }));
    expect(read(bytes).name).toBe("aa-bb/é😀");
    expect(utf8.decode(decodeHeader(bytes.subarray(-512)).name)).toBe("aa-bb/é😀");
  });

  test.each([8 * GIB - 1, 8 * GIB, 9 * GIB, 2 ** 40 + 12345, Number.MAX_SAFE_INTEGER])(
    "a size of %d is said in full",
    (size) => {
      const bytes = encodeTarHeader(header({ size }));
      expect(bytes.length).toBe(tarHeaderSize(header({ size })));
      expect(read(bytes).size).toBe(size);
      expect(read(bytes).pax).toEqual(size < 8 * GIB ? {} : { size });
      // In the ustar field as well: octal, or base-256 for readers that don't take it from pax.
      expect(decodeHeader(bytes.subarray(-512)).size).toBe(size);
    },
  );

  test("times up to and beyond eleven octal digits", () => {
    for (const mtime of [0, 1, 8 ** 11 - 1, 8 ** 11, 253_402_300_800]) {
      expect(read(encodeTarHeader(header({ mtime }))).mtime).toBe(mtime);
    }
  });
});

test("padded", () => {
  expect([0, 1, 511, 512, 513, 9 * GIB + 1].map(padded)).toEqual([
    0,
    512,
    512,
    512,
    1024,
    9 * GIB + 512,
  ]);
});

function onePart(length: number): string {
  return "n".repeat(length);
}

/** Parts of 60 bytes, and a last one that makes up the length. */
function manyParts(length: number): string {
  const path = `${"d".repeat(60)}/`.repeat(20).slice(0, length);
  return path.endsWith("/") ? `${path.slice(0, -1)}x` : path;
}
