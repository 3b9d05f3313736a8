import { decompress } from "../../src/archive/decompress/decompress.ts";
import { gunzip } from "../../src/archive/decompress/gunzip.ts";
import { unzstd } from "../../src/archive/decompress/unzstd.ts";
import { inspectArchive } from "../../src/archive/inspect/inspect.ts";
import { decodePax } from "../../src/archive/tar/pax-decode.ts";
import { readTar } from "../../src/archive/tar/reader.ts";
import { DamagedError } from "../../src/lib/errors.ts";
import { makeSnapshot, paxLine, pieces } from "../archive/read-support.ts";
import { archiveOf, FORMATS, makeCompressor } from "../archive/write-support.ts";
import { tempDir } from "../support/temp.ts";
import { fuzz, seeds } from "./fuzz.ts";

const root = tempDir();
const snapshot = makeSnapshot(root);
const compressor = makeCompressor();
const [tar, tgz, tzst] = await Promise.all(
  FORMATS.map((format) => archiveOf(snapshot, format, compressor)),
);
const sound = [tar, tgz, tzst].map((bytes) => bytes ?? new Uint8Array());
const damaged = (error: unknown) => error instanceof DamagedError;

/** More than any small input may become: what is larger is a bomb, and is only ever counted. */
async function drain(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  let left = 64 * 1024 * 1024;
  for await (const piece of bytes) {
    left -= piece.length;
    if (left < 0) return;
  }
}

fuzz({
  name: "tar",
  seeds: sound.slice(0, 1),
  words: ["ustar\0", "././@LongLink", "PaxHeader", "../", "/", "\xff", "0000644\0", "x", "g", "L"],
  run: async (input) => inspectArchive(readTar(pieces(input, 777))),
  expected: damaged,
});

fuzz({
  name: "pax",
  seeds: seeds(
    paxLine("path", "a/b/c") + paxLine("size", "9663676416") + paxLine("mtime", "1700000000.5"),
    paxLine("GNU.sparse.major", "1") + paxLine("linkpath", "../../x"),
  ),
  words: ["=", " ", "\n", "path", "size", "99999999999999999999", "-", "\0"],
  run: decodePax,
  expected: damaged,
  cases: 5000,
});

fuzz({
  name: "gzip",
  seeds: sound.slice(1, 2),
  words: ["\x1f\u008b", "\0\0\0\0"],
  run: (input) => drain(gunzip(pieces(input, 333))),
  expected: damaged,
});

fuzz({
  name: "zstd",
  seeds: sound.slice(2, 3),
  run: (input) => drain(unzstd(pieces(input, 333))),
  expected: damaged,
});

fuzz({
  name: "archive",
  seeds: sound,
  run: async (input) => {
    const { bytes } = await decompress(pieces(input));
    await inspectArchive(readTar(bytes));
  },
  expected: damaged,
});
