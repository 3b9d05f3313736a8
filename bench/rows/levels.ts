import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BLOCK_OVERHEAD, BLOCK_SIZES } from "../../src/archive/compress/block-sizes.ts";
import { compressBlock } from "../../src/archive/compress/compress-block.ts";
import type { BlockContent, BlockFormat } from "../../src/archive/compress/messages.ts";
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
    const contents = [part(join(block, "index"), "other")];
    for (const name of readdirSync(join(block, "chunks"))) {
      contents.push(part(join(block, "chunks", name), "chunks"));
    }
    for (const [i, format] of LEVELS.entries()) {
      rows[i]?.push(...(await compressAll(contents, format)));
    }
  }
  const columns = KINDS.flatMap((kind) => [`${kind}: MB per CPU second`, "size"]);
  printTable("Levels", ["format", "level", ...columns], rows);
}

interface Part {
  readonly bytes: Uint8Array;
  readonly content: BlockContent;
}

function part(file: string, content: BlockContent): Part {
  return { bytes: new Uint8Array(readFileSync(file)), content };
}

async function compressAll(
  contents: readonly Part[],
  format: BlockFormat,
): Promise<[string, string]> {
  const size = BLOCK_SIZES[format.format].large;
  const room = new Uint8Array(size + BLOCK_OVERHEAD);
  let [input, output] = [0, 0];
  const before = process.cpuUsage();
  for (const { bytes, content } of contents) {
    for (let at = 0; at < bytes.length; at += size) {
      const block = { bytes: bytes.subarray(at, at + size), content };
      output += await compressBlock(block, format, room);
    }
    input += bytes.length;
  }
  const { user, system } = process.cpuUsage(before);
  return [(input / (user + system)).toFixed(0), (output / input).toFixed(3)];
}
