import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspectArchive, type SnapshotReport } from "../../../src/archive/inspect/inspect.ts";
import { readTar, type TarEntry } from "../../../src/archive/tar/reader.ts";
import { MAX_META_BYTES } from "../../../src/tsdb/meta.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import { damage, makeSnapshot, output, pieces, SNAPSHOT, ULID } from "../read-support.ts";

const META = readFileSync(join(import.meta.dir, "../../data/tiny-block/meta.json"));
const BLOCK = `${SNAPSHOT}/${ULID}`;

interface Made {
  readonly type?: TarEntry["type"];
  readonly kind?: string;
  readonly size?: number;
  readonly content?: Uint8Array | string;
}

/** An archive as a map of what it holds: a name that ends in a slash is a directory. */
type Tree = Readonly<Record<string, Made>>;

const GOOD: Tree = {
  [`${SNAPSHOT}/`]: {},
  [`${BLOCK}/`]: {},
  [`${BLOCK}/chunks/`]: {},
  [`${BLOCK}/chunks/000001`]: { size: 59 },
  [`${BLOCK}/index`]: { size: 355 },
  [`${BLOCK}/meta.json`]: { content: META },
  [`${BLOCK}/tombstones`]: { size: 9 },
};

function entry(name: string, made: Made): TarEntry {
  const type = made.type ?? (name.endsWith("/") ? "directory" : "file");
  const content = Buffer.from(made.content ?? "");
  return {
    path: type === "directory" ? name.replace(/\/$/, "") : name,
    type,
    kind: made.kind ?? type,
    size: made.size ?? content.length,
    mtime: 0,
    body: pieces(content, 100),
  };
}

async function* entries(...trees: Tree[]): AsyncGenerator<TarEntry> {
  for (const tree of trees) {
    for (const [name, made] of Object.entries(tree)) yield entry(name, made);
  }
}

function inspectTree(...trees: Tree[]): Promise<SnapshotReport> {
  return inspectArchive(entries(...trees));
}

function without(tree: Tree, ...names: string[]): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([name]) => !names.includes(name)));
}

/** Errors of the archive and its blocks, and warnings, in one list. */
function findings({ errors, warnings, blocks }: SnapshotReport): string[] {
  const ofBlocks = blocks.flatMap((block) => block.errors.map((error) => `block: ${error}`));
  return [...errors, ...ofBlocks, ...warnings.map((warning) => `warning: ${warning}`)];
}

const TINY = {
  ulid: ULID,
  minTime: 1700000000000,
  maxTime: 1700000015001,
  numSeries: 2,
  numChunks: 2,
  numSamples: 3,
  bytes: 689,
  errors: [],
};

describe("a sound snapshot", () => {
  const sound = {
    name: SNAPSHOT,
    blocks: [TINY],
    bytes: 689,
    files: 4,
    errors: [],
    warnings: [],
  };

  test.skipIf(!needs("tar"))("of a real block, as tar packs it", async () => {
    const dir = tempDir();
    makeSnapshot(dir);
    for (const name of [SNAPSHOT, `./${SNAPSHOT}`, "."]) {
      const archive = output(["tar", "-c", name], { cwd: dir });
      expect(await inspectArchive(readTar(pieces(archive)))).toEqual(sound);
    }
  });

  test("in any order, and without its directories", async () => {
    expect(await inspectTree(GOOD)).toEqual(sound);
    const reversed = Object.fromEntries(Object.entries(GOOD).reverse());
    expect(await inspectTree(reversed)).toEqual(sound);
    const files = Object.entries(GOOD).filter(([name]) => !name.endsWith("/"));
    expect(await inspectTree(Object.fromEntries(files))).toEqual(sound);
  });

  test("with blocks told by their ULID", async () => {
    const other = ULID.replace("1", "0");
    const tree: Record<string, Made> = {};
    for (const [name, made] of Object.entries(GOOD)) tree[name.replace(ULID, other)] = made;
    tree[`${SNAPSHOT}/${other}/meta.json`] = { content: META.toString().replaceAll(ULID, other) };
    const { blocks, bytes, files } = await inspectTree(GOOD, without(tree, `${SNAPSHOT}/`));
    expect(blocks).toEqual([{ ...TINY, ulid: other }, TINY]);
    expect([bytes, files]).toEqual([2 * 689, 8]);
  });

  test("of a Prometheus without data: one empty directory", async () => {
    expect(await inspectTree({ [`${SNAPSHOT}/`]: {} })).toEqual({
      ...sound,
      blocks: [],
      bytes: 0,
      files: 0,
      warnings: [`${SNAPSHOT} has no block: Prometheus had no data`],
    });
  });
});

describe("a block", () => {
  const META_PATH = `${BLOCK}/meta.json`;
  const meta = (change: object) => ({
    [META_PATH]: { content: JSON.stringify({ ...JSON.parse(META.toString()), ...change }) },
  });
  const missing = (name: string) => without(GOOD, `${BLOCK}/${name}`);
  const leftOut = "Prometheus would leave the block out";
  const cases: [name: string, tree: Tree, found: string[]][] = [
    ["no meta.json", missing("meta.json"), [`block: meta.json is missing: ${leftOut}`]],
    ["no index", missing("index"), ["block: index is missing: Prometheus would not start"]],
    [
      "no tombstones",
      missing("tombstones"),
      [
        `warning: block ${ULID}: tombstones is missing: later snapshots of a database with it would fail`,
      ],
    ],
    [
      "no chunks",
      without(GOOD, `${BLOCK}/chunks/`, `${BLOCK}/chunks/000001`),
      ["block: chunks is missing: Prometheus would not start"],
    ],
    [
      "no segment",
      missing("chunks/000001"),
      ["block: chunks is empty: every query of the block would fail"],
    ],
    [
      "no segment and no chunk",
      { ...missing("chunks/000001"), ...meta({ stats: {} }) },
      [`warning: block ${ULID}: it holds no data`],
    ],
    [
      "a lost first segment",
      { ...missing("chunks/000001"), [`${BLOCK}/chunks/000002`]: { size: 99 } },
      ["block: chunks/000001 is missing"],
    ],
    [
      "a lost segment in the middle",
      {
        ...GOOD,
        [`${BLOCK}/chunks/000004`]: { size: 99 },
        [`${BLOCK}/chunks/000002`]: { size: 99 },
      },
      ["block: chunks/000003 is missing"],
    ],
    [
      "names that Prometheus would take for segments",
      { ...GOOD, [`${BLOCK}/chunks/5`]: { size: 99 }, [`${BLOCK}/chunks/000000`]: { size: 99 } },
      [
        "block: chunks/5 is no name of a segment, but Prometheus would take it for one",
        "block: chunks/000000 is no name of a segment, but Prometheus would take it for one",
      ],
    ],
    ["an empty index", { ...GOOD, [`${BLOCK}/index`]: {} }, ["block: index is empty"]],
    [
      "parts that are cut off",
      {
        ...GOOD,
        [`${BLOCK}/index`]: { size: 56 },
        [`${BLOCK}/tombstones`]: { size: 8 },
        [`${BLOCK}/chunks/000001`]: { size: 7 },
      },
      [
        "block: chunks/000001 is cut off: it has 7 bytes",
        "block: index is cut off: it has 56 bytes",
        "block: tombstones is cut off: it has 8 bytes",
      ],
    ],
    ["an empty meta.json", { ...GOOD, [META_PATH]: {} }, ["block: meta.json is empty"]],
    [
      "a meta.json that is no JSON",
      { ...GOOD, [META_PATH]: { content: META.subarray(0, 200) } },
      [
        expect.stringMatching(
          /^block: meta.json is not JSON.*: Prometheus would leave the block out$/,
        ),
      ],
    ],
    [
      "a meta.json of zeros",
      { ...GOOD, [META_PATH]: { content: Buffer.alloc(266) } },
      [
        expect.stringMatching(
          /^block: meta.json is not JSON.*: Prometheus would leave the block out$/,
        ),
      ],
    ],
    [
      "a meta.json that is not UTF-8",
      { ...GOOD, [META_PATH]: { content: Buffer.from(`{"\xff":1}`, "latin1") } },
      [expect.stringMatching(/^block: .*: Prometheus would leave the block out$/)],
    ],
    [
      "a meta.json of another version",
      { ...GOOD, ...meta({ version: 3 }) },
      [`block: meta.json has version 3, not 1: ${leftOut}`],
    ],
    [
      "a meta.json that is too large",
      { ...GOOD, [META_PATH]: { size: MAX_META_BYTES + 1 } },
      [`block: meta.json has ${MAX_META_BYTES + 1} bytes, more than ${MAX_META_BYTES}`],
    ],
    [
      "another block's meta.json",
      { ...GOOD, ...meta({ ulid: "01M8204A0SY5ACHASGKYRYK1TA" }) },
      ["block: meta.json is of block 01M8204A0SY5ACHASGKYRYK1TA"],
    ],
    [
      "parts that are directories",
      { ...missing("index"), [`${BLOCK}/index/`]: {}, [`${BLOCK}/chunks/000002/`]: {} },
      [
        "block: index is a directory, not a file",
        "block: chunks/000002 is a directory, not a file",
        "block: index is missing: Prometheus would not start",
      ],
    ],
    [
      "chunks that is a file",
      { ...without(GOOD, `${BLOCK}/chunks/`), [`${BLOCK}/chunks`]: { size: 1 } },
      ["block: chunks is not a directory"],
    ],
    [
      "files that are no part of it",
      {
        ...GOOD,
        [`${BLOCK}/index_tmp_p`]: {},
        [`${BLOCK}/chunks/foo.bak`]: {},
        [`${BLOCK}/a/`]: {},
      },
      ["index_tmp_p: a file", "chunks/foo.bak: a file", "a: a directory"].map(
        (what) => `warning: ${BLOCK}/${what} that is no part of a snapshot`,
      ),
    ],
  ];
  test.each(cases)("with %s", async (_, tree, found) => {
    const report = await inspectTree(tree);
    expect(findings(report)).toEqual(found);
    expect(report.blocks.length).toBe(1);
  });

  test("whose meta.json is unreadable has no numbers", async () => {
    const [block] = (await inspectTree(missing("meta.json"))).blocks;
    expect(block).toMatchObject({
      ulid: ULID,
      minTime: undefined,
      numSeries: undefined,
      bytes: 423,
    });
  });
});

describe("an archive", () => {
  const hardLink = { type: "other", kind: "hard link" } as const;
  const cases: [name: string, tree: Tree, found: string[]][] = [
    ["of nothing", {}, ["it has no directory, where a snapshot is one"]],
    [
      "of a file",
      { "readme.txt": {} },
      [
        "it has no directory, where a snapshot is one",
        "warning: readme.txt: a file that is no part of a snapshot",
      ],
    ],
    [
      "of something else",
      { "linux-6/": {}, "linux-6/Makefile": { size: 5 } },
      [
        "linux-6 has no block: it is no snapshot of a Prometheus",
        "warning: linux-6/Makefile: a file that is no part of a snapshot",
      ],
    ],
    [
      "of a single block",
      { [`${ULID}/`]: {}, [`${ULID}/meta.json`]: { content: META } },
      [
        `${ULID} has no block: it is no snapshot of a Prometheus, but a block: pack the directory that holds the blocks, not the blocks themselves`,
        `warning: ${ULID}/meta.json: a file that is no part of a snapshot`,
        `warning: ${ULID} is not how a snapshot is named`,
      ],
    ],
    [
      "of blocks without the directory around them",
      {
        "01BX5ZZKBKACTAV9WEVGEMMVRZ/": {},
        [`${ULID}/`]: {},
      },
      [
        `${ULID}: a second directory at the top, beside 01BX5ZZKBKACTAV9WEVGEMMVRZ: pack the directory that holds the blocks, not the blocks themselves`,
        "01BX5ZZKBKACTAV9WEVGEMMVRZ has no block: it is no snapshot of a Prometheus, but a block: pack the directory that holds the blocks, not the blocks themselves",
        "warning: 01BX5ZZKBKACTAV9WEVGEMMVRZ is not how a snapshot is named",
      ],
    ],
    [
      "with a second directory at the top, told once",
      { ...GOOD, "other/": {}, "other/file": {}, "other/file2": {} },
      [`other: a second directory at the top, beside ${SNAPSHOT}`],
    ],
    [
      "with paths that nobody should extract",
      {
        ...GOOD,
        "/etc/passwd": {},
        [`${SNAPSHOT}/../../evil`]: {},
        [`${BLOCK}//index`]: { size: 99 },
        [`${BLOCK}/./index`]: { size: 99 },
        [`${SNAPSHOT}/${"n".repeat(4100)}`]: {},
      },
      [
        "/etc/passwd: its path is absolute",
        `${SNAPSHOT}/../../evil: its path has ".." in it`,
        `${BLOCK}//index: its path has an empty component`,
        `${BLOCK}/./index: its path has "." in it`,
        expect.stringMatching(/n…: its path is too long$/),
      ],
    ],
    [
      "with links and devices",
      {
        ...without(GOOD, `${BLOCK}/index`),
        [`${BLOCK}/index`]: hardLink,
        [`${SNAPSHOT}/x`]: { type: "other", kind: "symbolic link" },
        null: { type: "other", kind: "character device" },
      },
      [
        `${BLOCK}/index: a hard link`,
        `${SNAPSHOT}/x: a symbolic link`,
        "null: a character device",
        "block: index is missing: Prometheus would not start",
      ],
    ],
    [
      "with files beside the blocks",
      { ...GOOD, [`${SNAPSHOT}/notes`]: {}, [`${SNAPSHOT}/${ULID}.tmp-for-creation/index`]: {} },
      ["notes: a file", `${ULID}.tmp-for-creation/index: a file`].map(
        (what) => `warning: ${SNAPSHOT}/${what} that is no part of a snapshot`,
      ),
    ],
    [
      "with a name that is no snapshot's",
      { "my backup/": {} },
      [
        "warning: my backup has no block: Prometheus had no data",
        "warning: my backup is not how a snapshot is named",
      ],
    ],
  ];
  test.each(cases)("%s", async (_, tree, found) => {
    expect(findings(await inspectTree(tree))).toEqual(found);
  });

  test("with everything in it twice", async () => {
    const stray = { [`${SNAPSHOT}/notes`]: {} };
    expect(findings(await inspectTree(GOOD, stray, GOOD, stray))).toEqual([
      `${SNAPSHOT} is in the archive twice`,
      `${SNAPSHOT}/notes is in the archive twice`,
      "block: its directory is in the archive twice",
      "block: chunks is in the archive twice",
      "block: chunks/000001 is in the archive twice",
      "block: index is in the archive twice",
      "block: meta.json is in the archive twice",
      "block: tombstones is in the archive twice",
      `warning: ${SNAPSHOT}/notes: a file that is no part of a snapshot`,
    ]);
  });

  test("with many errors tells some and counts the rest", async () => {
    async function* many() {
      yield* entries(GOOD);
      for (let i = 0; i < 1000; i++) yield entry(`/${i}`, {});
    }
    const { errors } = await inspectArchive(many());
    expect(errors.length).toBe(21);
    expect(errors.at(-1)).toBe("and 980 more like these");
  });
});

describe("more than any snapshot has is damage:", () => {
  const ulid = (i: number) => `01M8204A0SY5ACHASG${String(i).padStart(8, "0")}`;
  test.each<[what: string, path: (i: number) => string]>([
    ["500000 members", (i) => `/${i}`],
    ["100000 blocks", (i) => `${SNAPSHOT}/${ulid(i)}/index`],
    ["10000 members that are no part of it", (i) => `${SNAPSHOT}/${i}`],
    ["10000 members that are no part of it", (i) => `${i}/x`],
  ])("%s", async (what, path) => {
    let count = 0;
    async function* endless() {
      for (;;) yield entry(path(count++), {});
    }
    expect(await damage(inspectArchive(endless()))).toBe(`no snapshot: it has more than ${what}`);
    expect(count).toBeLessThanOrEqual(500_001);
  });
});
