import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import { END, header, joined, output, paxLine, record, SNAPSHOT, ULID } from "../read-support.ts";

setDefaultTimeout(120_000);

const GIGABYTE = 1024 ** 3;
const dir = tempDir();

interface Outcome {
  readonly error?: string;
  readonly report?: { readonly bytes: number; readonly errors: readonly string[] };
  /** The most that the process ever had. Bun itself takes some 60, a garbage collector its time. */
  readonly megabytes: number;
}

/** Writes an archive and lets a process of its own inspect it. */
async function outcome(parts: Iterable<Uint8Array>): Promise<Outcome> {
  const path = join(dir, "archive");
  const file = openSync(path, "w");
  for (const part of parts) writeSync(file, part);
  closeSync(file);
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "inspect-child.ts")], {
    stdin: Bun.file(path),
    stdout: "pipe",
    stderr: "inherit",
  });
  const result: Outcome = JSON.parse(await child.stdout.text());
  return result;
}

/** The tar of one file of many zeros, compressed piece by piece. */
function* bomb(size: number, compress: (data: Uint8Array<ArrayBuffer>) => Uint8Array) {
  const name = `${SNAPSHOT}/${ULID}/index`;
  yield compress(header({ name, size }));
  const piece = compress(new Uint8Array(GIGABYTE / 16));
  for (let done = 0; done < size; done += GIGABYTE / 16) yield piece;
  yield compress(END);
}

describe("memory stays bounded", () => {
  for (const [name, compress] of [
    ["gzip", (data: Uint8Array<ArrayBuffer>) => Bun.gzipSync(data)],
    ["zstd", (data: Uint8Array<ArrayBuffer>) => Bun.zstdCompressSync(data)],
  ] as const) {
    test(`with 3 GB of zeros in ${name}`, async () => {
      const { report, megabytes } = await outcome(bomb(3 * GIGABYTE, compress));
      expect(report?.bytes).toBe(3 * GIGABYTE);
      expect(megabytes).toBeLessThan(300);
    });
  }

  test.skipIf(!needs("zstd"))("with one zstd frame of 1 GB in a few kilobytes", async () => {
    const zeros = "head -c 1073741824 /dev/zero | zstd -q -3 --long=27";
    const frame = output(["sh", "-c", zeros]);
    const name = `${SNAPSHOT}/${ULID}/index`;
    const start = Bun.zstdCompressSync(header({ name, size: GIGABYTE }));
    const { report, megabytes } = await outcome([start, frame, Bun.zstdCompressSync(END)]);
    expect(report?.bytes).toBe(GIGABYTE);
    // The window of 128 MiB is in it.
    expect(megabytes).toBeLessThan(450);
  });

  test("with half a million members, each of them wrong", async () => {
    const name = `${SNAPSHOT}/${ULID}/chunks/${"9".repeat(30)}`;
    const thousand = Array.from({ length: 1000 }, () => header({ name }));
    const members = Array(501).fill(Bun.zstdCompressSync(joined(...thousand)));
    const { error, megabytes } = await outcome(members);
    expect(error).toContain("it has more than 500000 members");
    expect(megabytes).toBeLessThan(400);
  });

  test("with a hundred thousand blocks that have nothing right", async () => {
    function* blocks() {
      for (let i = 0; i < 100_000; i += 1000) {
        const headers = Array.from({ length: 1000 }, (_, j) => {
          const ulid = `01M8204A0SY5ACHASG${String(i + j).padStart(8, "0")}`;
          return header({ name: `${SNAPSHOT}/${ulid}/chunks/5` });
        });
        yield Bun.zstdCompressSync(joined(...headers));
      }
      yield Bun.zstdCompressSync(END);
    }
    const { report, megabytes } = await outcome(blocks());
    expect(report?.errors).toEqual([]);
    expect(megabytes).toBeLessThan(600);
  });

  test("with names of a megabyte", async () => {
    function* names() {
      for (let i = 0; i < 500; i++) {
        const path = `/${String(i).padEnd(1_000_000, "n")}`;
        const member = joined(record("x", paxLine("path", path)), header());
        yield Bun.zstdCompressSync(member);
      }
      yield Bun.zstdCompressSync(END);
    }
    const { report, megabytes } = await outcome(names());
    expect(report?.errors.length).toBe(21);
    expect(megabytes).toBeLessThan(400);
  });
});
