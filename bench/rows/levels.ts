import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BLOCK_SIZES } from "../../src/archive/compress/block-sizes.ts";
import { compressBlock } from "../../src/archive/compress/compress-block.ts";
import type { BlockFormat } from "../../src/archive/compress/messages.ts";
import { KINDS, templateBlock } from "../data/snapshots.ts";
import { printTable } from "../report.ts";

const LEVELS: readonly BlockFormat[] = [
  ...[1, 2, 3, 6, 9, 12].map((level) => ({ format: "tgz", level }) as const),
  ...[1, 2, 3, 6, 9].map((level) => ({ format: "tzst", level }) as const),
];

/** What each level takes of a core, and leaves of the large files of a block. */
export async function measureLevels(): Promise<void> {
  const rows = LEVELS.map(({ format, level }) => [format, String(level)]);
  for (const kind of KINDS) {
    const block = await templateBlock(kind);
    const files = [join(block, "index")];
    for (const name of readdirSync(join(block, "chunks"))) files.push(join(block, "chunks", name));
    const contents = files.map((file) => new Uint8Array(readFileSync(file)));
    for (const [i, format] of LEVELS.entries()) {
      rows[i]?.push(...(await compressAll(contents, format)));
    }
  }
  const columns = KINDS.flatMap((kind) => [`${kind}: MB per CPU second`, "size"]);
  printTable("Levels", ["format", "level", ...columns], rows);
}

async function compressAll(
  contents: readonly Uint8Array[],
  format: BlockFormat,
): Promise<[string, string]> {
  const size = BLOCK_SIZES[format.format].large;
  let [input, output] = [0, 0];
  const before = process.cpuUsage();
  for (const bytes of contents) {
    for (let at = 0; at < bytes.length; at += size) {
      const parts = await compressBlock(bytes.subarray(at, at + size), format);
      output += parts.reduce((sum, part) => sum + part.length, 0);
    }
    input += bytes.length;
  }
  const { user, system } = process.cpuUsage(before);
  return [(input / (user + system)).toFixed(0), (output / input).toFixed(3)];
}
