import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Tool } from "../../scripts/tools.ts";
import { decompress } from "../../src/archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../../src/archive/format.ts";
import { planArchive } from "../../src/archive/plan.ts";
import { atEnd } from "../support/at-end.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { output, pieces, readAll } from "./read-support.ts";
import {
  archiveOf,
  FORMATS,
  MIB,
  makeCompressor,
  makeFiles,
  NAME,
  noise,
  startArchive,
} from "./write-support.ts";

// A thousand files, over and over, and 9 GB of nothing.
setDefaultTimeout(120_000);

/** In its stream mode, `r|gz`, Python reads no further than the first of several gzip members. */
const PYTHON = [
  ...["python3", "-c"],
  "import io, sys, tarfile; tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())).extractall()",
];

/** Each program with what it extracts from standard input, by itself, compressed or not. */
const READERS: Record<ArchiveFormat, { tools: Tool[]; extract: string[] }[]> = {
  tar: [
    { tools: ["tar"], extract: ["tar", "-x"] },
    { tools: ["bsdtar"], extract: ["bsdtar", "-x"] },
    { tools: ["busybox"], extract: ["busybox", "tar", "-x", "-f", "-"] },
    { tools: ["python3"], extract: PYTHON },
  ],
  tgz: [
    { tools: ["tar", "gzip"], extract: ["tar", "-xz"] },
    { tools: ["bsdtar"], extract: ["bsdtar", "-x"] },
    { tools: ["busybox"], extract: ["busybox", "tar", "-x", "-z", "-f", "-"] },
    { tools: ["python3"], extract: PYTHON },
  ],
  tzst: [
    { tools: ["tar", "zstd"], extract: ["tar", "-x", "--zstd"] },
    { tools: ["bsdtar"], extract: ["bsdtar", "-x"] },
  ],
};

const roots = { every: tempDir(), some: tempDir(), big: memoryDir() };
const compressor = makeCompressor();
const snapshots = { every: "", some: "" };

beforeAll(() => {
  snapshots.every = makeFiles(roots.every, { ...sizes(), ...names(), ...paths() });
  snapshots.some = makeFiles(roots.some, sizes());
  mkdirSync(join(snapshots.every, "empty directory"));
});

/** Around tar's block, the chunks that files are read in, and the blocks of the compressors. */
function sizes(): Record<string, Uint8Array> {
  const all = [0, 1, 511, 512, 513, 1024, MIB - 1, MIB, MIB + 1, 2 * MIB, 4 * MIB, 4 * MIB + 1];
  return Object.fromEntries(all.map((size) => [`sizes/${size}`, noise(size, size)]));
}

/** Names of 1 to 255 bytes, of ASCII and not. */
function names(): Record<string, string> {
  const files: Record<string, string> = {};
  for (let length = 1; length <= 255; length++) {
    files[`names/${"n".repeat(length)}`] = `${length}`;
    if (length > 1) files[`names/${"é".repeat(length / 2)}${"x".repeat(length % 2)}`] = "é";
  }
  // No combining characters: bsdtar composes them, from any tar's archives.
  for (const name of ["a b", "-rf", "new\nline", "back\\slash", "😀", "日本語", '"']) {
    files[`names/${name}`] = name;
  }
  return files;
}

/** A file for each length of its path in the archive, up to 1,000 bytes. */
function paths(): Record<string, string> {
  const files: Record<string, string> = {};
  const top = NAME.length + 1;
  for (let length = top + 10; length <= 1000; length++) {
    const deep = `${"d".repeat(70)}/`.repeat(14).slice(0, length - top - 1);
    files[`${deep.endsWith("/") ? `${deep.slice(0, -1)}e` : deep}f`] = `${length}`;
  }
  return files;
}

for (const format of FORMATS) {
  for (const { tools, extract } of READERS[format]) {
    test.skipIf(!needs(...tools, "diff"))(
      `${tools.join(" with ")} extracts a ${format}`,
      async () => {
        // What is compressed is the same tar, as the next test shows, so some files do for that.
        const snapshot = format === "tar" ? snapshots.every : snapshots.some;
        const target = tempDir();
        output(extract, { cwd: target, input: await archiveOf(snapshot, format, compressor) });
        expect(text(output(["diff", "-r", snapshot, join(target, NAME)]))).toBe("");
      },
    );
  }
}

test.each(FORMATS)("a tar is as large as planned, and the same within a %s", async (format) => {
  const tar = await archiveOf(snapshots.every, "tar", compressor);
  expect(tar.length).toBe((await planArchive(snapshots.every, NAME)).contentSize);
  const archive = await archiveOf(snapshots.every, format, compressor);
  const { bytes } = await decompress(pieces(archive));
  expect(Buffer.compare(await readAll(bytes), tar)).toBe(0);
});

test.skipIf(!needs("gzip", "zstd"))("gzip -t and zstd -t find nothing wrong", async () => {
  output(["gzip", "-t"], { input: await archiveOf(snapshots.every, "tgz", compressor) });
  output(["zstd", "-qt"], { input: await archiveOf(snapshots.every, "tzst", compressor) });
});

const LIST = `
import sys, tarfile
for m in tarfile.open(fileobj=sys.stdin.buffer, mode="r|"):
    print(m.name, m.type.decode(), oct(m.mode), m.uid, m.gid, repr(m.uname), m.mtime, m.size)
`;

test.skipIf(!needs("python3"))("modes, owners, times and order", async () => {
  const small = makeFiles(tempDir(), { "b/meta.json": "{}", "b/chunks/000001": "12345", "a-": "" });
  for (const path of ["", "b", "b/chunks", "b/chunks/000001", "b/meta.json", "a-"]) {
    utimesSync(join(small, path), 1_600_000_000.9, 1_600_000_000.9);
  }
  const archive = await archiveOf(small, "tar", compressor);
  const rest = (size: number) => `0 0 '' 1600000000 ${size}`;
  expect(
    text(output(["python3", "-c", LIST], { input: archive }))
      .trim()
      .split("\n"),
  ).toEqual([
    `${NAME} 5 0o755 ${rest(0)}`,
    `${NAME}/a- 0 0o644 ${rest(0)}`,
    `${NAME}/b 5 0o755 ${rest(0)}`,
    `${NAME}/b/chunks 5 0o755 ${rest(0)}`,
    `${NAME}/b/chunks/000001 0 0o644 ${rest(5)}`,
    `${NAME}/b/meta.json 0 0o644 ${rest(2)}`,
  ]);
});

describe("a file of 9 GB", () => {
  const SIZE = 9_000_000_001;
  const archive = join(tempDir(), "archive.tar");

  beforeAll(async () => {
    const big = makeFiles(roots.big, { after: "comes after" });
    truncateSync(makeSparse(join(big, "a-big")), SIZE);
    const { contentSize } = await planArchive(big, NAME);
    expect(await writeSparse(archive, await startArchive(big, "tar", compressor))).toBe(
      contentSize,
    );
  });

  const listed: [Tool, string[]][] = [
    ["tar", ["tar", "-tv", "-f"]],
    ["bsdtar", ["bsdtar", "-tv", "-f"]],
    ["busybox", ["busybox", "tar", "-tv", "-f"]],
    ["python3", ["python3", "-m", "tarfile", "-v", "-l"]],
  ];
  for (const [tool, list] of listed) {
    test.skipIf(!needs(tool))(`is listed by ${tool}, and what comes after it`, () => {
      const names = text(output([...list, archive]));
      expect(names).toMatch(/\b9000000001 .*a-big\s*$/m);
      expect(names).toContain(`${NAME}/after`);
    });
  }

  test.skipIf(!needs("tar"))("what comes after it is extracted", () => {
    const after = output(["tar", "-xO", "-f", archive, `${NAME}/after`]);
    expect(text(after)).toBe("comes after");
  });
});

/** On a file system in memory if there is one: elsewhere, reading a hole fills the page cache. */
function memoryDir(): string {
  const memory = "/dev/shm";
  if (!existsSync(memory)) return tempDir();
  const path = mkdtempSync(join(memory, "prombackup-test-"));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function makeSparse(path: string): string {
  writeFileSync(path, "");
  return path;
}

/** Writes chunks that are only zeros as holes, so that the archive takes no disk. Answers its size. */
async function writeSparse(path: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const zeros = Buffer.alloc(MIB);
  const fd = openSync(path, "w");
  try {
    let at = 0;
    for await (const chunk of chunks) {
      if (zeros.compare(chunk, 0, chunk.length, 0, chunk.length) !== 0)
        writeSync(fd, chunk, 0, chunk.length, at);
      at += chunk.length;
    }
    ftruncateSync(fd, at);
    return at;
  } finally {
    closeSync(fd);
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
