import { expect, test } from "bun:test";
import { writeBlock } from "./block-writer.ts";
import { content, tinyBlock } from "./blocks.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

/** The content of the tiny block, down to the byte that Prometheus before 3.0 left over. */
const TINY = {
  series: [
    {
      labels: [
        ["__name__", "test_total"],
        ["job", "a"],
      ],
      chunks: [
        {
          encoding: 1,
          data: hex("000280a0abfef9623ff00000000000009875c26fffc0"),
          first: 1_700_000_000_000,
          last: 1_700_000_015_000,
        },
      ],
    },
    {
      labels: [
        ["__name__", "test_total"],
        ["job", "b"],
      ],
      chunks: [
        {
          encoding: 1,
          data: hex("0001b08aadfef962401c00000000000000"),
          first: 1_700_000_015_000,
          last: 1_700_000_015_000,
        },
      ],
    },
  ],
} as const;

test("the blocks that tests write are those that promtool writes, byte by byte", () => {
  const written = writeBlock(TINY);
  const real = tinyBlock();
  for (const path of ["chunks/000001", "index", "tombstones"]) {
    expect(Buffer.from(content(written, path)).toString("hex")).toBe(
      Buffer.from(content(real, path)).toString("hex"),
    );
  }
});
