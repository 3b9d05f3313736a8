import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { LEVEL_RANGES } from "../../src/archive/write.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { output } from "./read-support.ts";
import { archiveOf, MIB, makeCompressor, makeFiles, mixed, NAME } from "./write-support.ts";

setDefaultTimeout(120_000);

const snapshot = makeFiles(tempDir(), {
  "a/chunks/000001": mixed(5 * MIB + 3),
  "a/index": mixed(300_000, 2),
  "a/meta.json": "{}",
  "b/chunks/000001": mixed(2 * MIB, 3),
  // Around the size from which on libdeflate takes over.
  ...Object.fromEntries([1, 16_000, 17_000].map((size) => [`b/small-${size}`, mixed(size, size)])),
});
const tar = await archiveOf(snapshot, "tar", makeCompressor());

const FORMATS = [
  { format: "tgz", name: "gzip", tools: ["gzip"], read: ["gzip", "-dc"], extract: "-z" },
  { format: "tzst", name: "zstd", tools: ["zstd"], read: ["zstd", "-dcq"], extract: "--zstd" },
] as const;

function levelsOf({ from, to }: { readonly from: number; readonly to: number }): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

describe.each(FORMATS)("$format", ({ format, name, tools, read, extract }) => {
  const levels = (level: number) => ({ levels: { gzip: 1, zstd: 1, [name]: level } });

  test.skipIf(!needs("tar", ...tools)).each(levelsOf(LEVEL_RANGES[name]))(
    "level %d is read by GNU tar, and by its own program",
    async (level) => {
      const archive = await archiveOf(snapshot, format, makeCompressor(levels(level)));
      expect(Buffer.compare(output([...read], { input: archive }), tar)).toBe(0);
      const target = tempDir();
      output(["tar", "-x", extract], { input: archive, cwd: target });
      output(["diff", "-r", snapshot, join(target, NAME)]);
    },
  );

  test.each([1, 2, 3, 5, 8])("is the same on %d threads", async (threads) => {
    const archive = await archiveOf(snapshot, format, makeCompressor({ threads }));
    const one = await archiveOf(snapshot, format, makeCompressor({ threads: 1 }));
    expect(Buffer.compare(archive, one)).toBe(0);
  });

  test("a higher level makes it smaller", async () => {
    const low = await archiveOf(snapshot, format, makeCompressor(levels(1)));
    const high = await archiveOf(snapshot, format, makeCompressor(levels(9)));
    expect(high.length).toBeLessThan(low.length);
  });
});
