import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { decompress } from "../../../src/archive/decompress/decompress.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import {
  damage,
  flipped,
  inspect,
  joined,
  makeSnapshot,
  output,
  pieces,
  readAll,
  SNAPSHOT,
  seeded,
  verdict,
} from "../read-support.ts";

// Sweeps over every byte and bit take seconds, and more on a busy machine.
setDefaultTimeout(120_000);

const dir = tempDir();
let tar: Uint8Array<ArrayBuffer>;

beforeAll(() => {
  makeSnapshot(dir);
  tar = output(["tar", "-c", "--format=ustar", SNAPSHOT], { cwd: dir });
});

const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

async function content(archive: Uint8Array, size?: number): Promise<Uint8Array<ArrayBuffer>> {
  return readAll((await decompress(pieces(archive, size))).bytes);
}

const gzip = (...options: string[]) => output(["gzip", "-c", ...options], { input: tar });
const zstd = (...options: string[]) => output(["zstd", "-q", "-c", ...options], { input: tar });

describe("reads what the tools write", () => {
  const halves = (compress: (half: Uint8Array<ArrayBuffer>) => Uint8Array) =>
    joined(compress(tar.subarray(0, 3333)), compress(tar.subarray(3333)));
  const skippable = joined("\x5a\x2a\x4d\x18\x04\0\0\0abcd");

  const sources: [format: string, tool: "tar" | "gzip" | "zstd", name: string, () => Uint8Array][] =
    [
      ["tar", "tar", "tar", () => tar],
      ["tgz", "gzip", "gzip -1", () => gzip("-1")],
      ["tgz", "gzip", "gzip -9", () => gzip("-9")],
      ["tgz", "gzip", "two members", () => halves((half) => output(["gzip"], { input: half }))],
      ["tgz", "gzip", "an empty member first", () => joined(Bun.gzipSync(""), gzip())],
      ["tzst", "zstd", "zstd -1", () => zstd("-1")],
      ["tzst", "zstd", "zstd --no-check", () => zstd("--no-check")],
      ["tzst", "zstd", "zstd -19 --long=27", () => zstd("-19", "--long=27")],
      [
        "tzst",
        "zstd",
        "two frames",
        () => halves((half) => output(["zstd", "-q"], { input: half })),
      ],
      ["tzst", "zstd", "skippable frames", () => joined(skippable, zstd(), skippable, skippable)],
    ];
  for (const [format, tool, name, make] of sources) {
    test.skipIf(!needs("tar", tool))(`${format}: ${name}, in pieces of every size`, async () => {
      const archive = make();
      expect((await decompress(pieces(archive))).format as string).toBe(format);
      for (let size = 1; size <= 1025; size++) {
        expect(Buffer.compare(await content(archive, size), tar)).toBe(0);
      }
    });
  }

  test.skipIf(!needs("gzip"))("a gzip header with a name, a comment and a checksum", async () => {
    writeFileSync(join(dir, "named"), tar);
    const named = output(["gzip", "-c", "--name", "named"], { cwd: dir });
    expect(Buffer.compare(await content(named), tar)).toBe(0);
  });

  /** Real archives have members of up to 1 MiB, and boundaries of pieces anywhere in them. */
  for (const [name, compress] of [
    ["gzip members", Bun.gzipSync],
    ["zstd frames", Bun.zstdCompressSync],
  ] as const) {
    const random = seeded(1);
    const data = Uint8Array.from({ length: 2_000_000 }, () => random() * 16);

    test(`thousands of ${name}, each other one empty`, async () => {
      const parts = Array.from({ length: 4000 }, (_, i) =>
        data.subarray(i * 500, i * 500 + 1000 * ((i + 1) % 2)),
      );
      const archive = joined(...parts.map((part) => compress(part)));
      expect(Buffer.compare(await content(archive), data)).toBe(0);
    });

    test(`large ${name} in pieces of random sizes`, async () => {
      for (let round = 0; round < 20; round++) {
        const at = random() * data.length;
        const archive = joined(compress(data.subarray(0, at)), compress(data.subarray(at)));
        const size = Math.ceil(random() * 400_000);
        expect(Buffer.compare(await content(archive, size), data)).toBe(0);
      }
    });
  }
});

describe("says what it is that is no archive", () => {
  const starts: [name: string, start: string, message: string][] = [
    ["nothing", "", "it is empty"],
    ["the first byte of gzip", "\x1f", "it has only 1 bytes"],
    ["text", "404 page not found\n", 'it begins with the text "404 page not found"'],
    ["HTML", "\n<!DOCTYPE html>", "it is a web page, perhaps an error message of a proxy"],
    ["xz", "\xfd7zXZ\0\0", "it is xz data, which is not read here: unpack it first"],
    ["bzip2", "BZh91AY&SY", "it is bzip2 data, which is not read here: unpack it first"],
    ["a program", `\x7fELF${"\0".repeat(999)}`, "it begins with the bytes 7f454c46"],
  ];
  test.each(starts)("%s", async (_, start, message) => {
    const bytes = new Uint8Array(Buffer.from(start, "latin1"));
    expect(await damage(decompress(pieces(bytes, 3)))).toBe(`not an archive: ${message}`);
  });
});

describe("finds damage", () => {
  const kinds: Record<string, { needs: "gzip" | "zstd"; make: () => Uint8Array }> = {
    gzip: { needs: "gzip", make: () => gzip() },
    "two gzip members": { needs: "gzip", make: () => joined(gzip(), gzip()) },
    zstd: { needs: "zstd", make: () => zstd("--check") },
    "zstd without checksum": { needs: "zstd", make: () => zstd("--no-check", "-19") },
    "two zstd frames": { needs: "zstd", make: () => joined(zstd(), zstd("--no-check")) },
  };

  for (const [name, kind] of Object.entries(kinds)) {
    test.skipIf(!needs(kind.needs))(`truncation at every byte: ${name}`, async () => {
      const archive = kind.make();
      // Between two members or frames the compressed data are whole; the tar in them isn't.
      const between = name.startsWith("two") ? [firstLength(archive)] : [];
      for (let end = 0; end < archive.length; end++) {
        const result = await verdict(content(archive.subarray(0, end)));
        expect([end, result === "sound"]).toEqual([end, between.includes(end)]);
      }
    });

    test.skipIf(!needs(kind.needs))(`anything after the end: ${name}`, async () => {
      const archive = kind.make();
      for (const more of ["\0", "\0".repeat(1000), "x", "\x1f", "\x1f\x8b", "\x28\xb5\x2f"]) {
        for (const size of [1, archive.length, archive.length + 1000]) {
          await damage(content(joined(archive, more), size));
        }
      }
    });
  }

  /** Where the first of two members or frames ends. */
  function firstLength(archive: Uint8Array): number {
    return archive[0] === 0x1f ? gzip().length : zstd().length;
  }

  test("endless zeros after the end are not waited for", async () => {
    let taken = 0;
    async function* endless() {
      yield Bun.gzipSync(tar);
      for (;;) {
        taken++;
        yield new Uint8Array(65536);
      }
    }
    const { bytes } = await decompress(endless());
    expect(await damage(readAll(bytes))).toMatch(/^gzip: the compressed data end at byte \d+, but/);
    expect(taken).toBeLessThan(1000);
  });

  test.skipIf(!needs("gzip"))("every bit of a tar.gz", async () => {
    const archive = gzip("-9n");
    const harmless = await harmlessBits(archive);
    // The flag "text", the time, the level and the system: told to people, not used to unpack.
    const header = [24, ...Array.from({ length: 48 }, (_, i) => 32 + i)];
    expect(harmless.filter((bit) => bit < 80)).toEqual(header);
  });

  test.skipIf(!needs("zstd"))("every bit of a tar.zst with a checksum", async () => {
    const archive = zstd("--check");
    const harmless = await harmlessBits(archive);
    // A bit that the format leaves unused, and the size of the window as long as it is enough.
    const unused = 4 * 8 + 4;
    const window = Array.from({ length: 8 }, (_, i) => 5 * 8 + i);
    const header = harmless.filter((bit) => bit < 48);
    expect(header).toContain(unused);
    expect([unused, ...window]).toEqual(expect.arrayContaining(header));
  });

  /**
   * The bits that can be turned without anybody noticing. Behind the header these are other ways
   * to say the same (a copy from another place that reads alike): the content must be equal.
   */
  async function harmlessBits(archive: Uint8Array): Promise<number[]> {
    const found: number[] = [];
    for (let bit = 0; bit < archive.length * 8; bit++) {
      const damaged = flipped(archive, bit);
      if ((await verdict(inspect(damaged))) !== "sound") continue;
      expect(Buffer.compare(await content(damaged), tar)).toBe(0);
      found.push(bit);
    }
    return found;
  }

  test("names the place and the member reached", async () => {
    const archive = Bun.gzipSync(tar, { level: 0 });
    expect(await damage(inspect(archive.subarray(0, 3000)))).toMatch(
      /^gzip: truncated: it ends at byte 3000, within its data \(the last member reached is \S+\)$/,
    );
    const turned = flipped(archive, 2000 * 8);
    expect(await damage(content(turned))).toMatch(
      /^gzip: damaged at or before byte \d+: incorrect data check$/,
    );
  });

  /** The decompressor tells its input that it failed, before a consumer that was busy asks again. */
  test.each([
    ["gzip member", (part: Uint8Array<ArrayBuffer>) => Bun.gzipSync(part)],
    ["zstd frame", (part: Uint8Array<ArrayBuffer>) => zstdCompressSync(part, checked)],
  ] as const)("a turned bit in a %s, by a consumer that takes its time", async (_, compress) => {
    const random = seeded(4);
    const part = compress(Uint8Array.from({ length: 300_000 }, () => random() * 256));
    const parts = Array.from({ length: 20 }, () => part);
    const archive = joined(part, flipped(part, 200_000 * 8), ...parts);
    const { bytes } = await decompress(pieces(archive, 64 * 1024));
    const reading = (async () => {
      for await (const _piece of bytes) await Bun.sleep(50);
    })();
    expect(await damage(reading)).toMatch(/^(gzip|zstd): damaged at or before byte \d+: /);
  });

  test.each([
    ["gzip", (part: Uint8Array<ArrayBuffer>) => Bun.gzipSync(part)],
    ["zstd", (part: Uint8Array<ArrayBuffer>) => zstdCompressSync(part, checked)],
  ] as const)("%s: names a place behind the damage, and near it", async (_, compress) => {
    const random = seeded(5);
    const part = compress(Uint8Array.from({ length: 50_000 }, () => random() * 256));
    const archive = joined(...Array.from({ length: 60 }, () => part));
    for (const at of [20, 100_000, 1_000_000, 2_900_000]) {
      const message = await damage(content(flipped(archive, at * 8), 64 * 1024));
      const place = Number(/at or before byte (\d+)/.exec(message)?.[1]);
      expect(place).toBeGreaterThanOrEqual(at);
      expect(place).toBeLessThan(at + 400_000);
    }
    const trailed = joined(archive, "nothing that belongs here");
    const message = await damage(content(trailed, 64 * 1024));
    const place = Number(/(?:at or before|follows at) byte (\d+)/.exec(message)?.[1]);
    expect(place).toBeGreaterThanOrEqual(archive.length);
  });

  test.skipIf(!needs("zstd"))("a frame that needs a dictionary", async () => {
    const samples = "mkdir d && for i in $(seq 99); do seq $i 9999 >d/$i; done";
    const train = "zstd -q --train d/* -o trained --maxdict=10000";
    output(["sh", "-c", `${samples} && ${train}`], { cwd: dir });
    const archive = output(["zstd", "-q", "-c", "-D", "trained"], { cwd: dir, input: tar });
    expect(await damage(content(archive))).toMatch(/^zstd: damaged .* Dictionary mismatch$/);
  });

  test.skipIf(!needs("zstd"))(
    "a window larger than 128 MiB, before it takes any memory",
    async () => {
      const archive = zstd("--ultra", "-22", "--long=28");
      expect(await damage(content(archive))).toBe(
        "zstd: the frame at byte 0 needs a window of 268435456 bytes; more than 128 MiB are refused: compress with a smaller --long",
      );
    },
  );

  test("random bytes behind a valid start never crash or hang it", async () => {
    const random = seeded(2);
    for (let round = 0; round < 3000; round++) {
      const noise = Uint8Array.from({ length: random() * 700 }, () => random() * 256);
      const start = [tar.subarray(0, random() * 1500), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]];
      const frames = [
        [0x28, 0xb5, 0x2f, 0xfd, 0x20 * (round & 1)],
        [0x50, 0x2a, 0x4d, 0x18],
      ];
      const archive = joined(Uint8Array.from([...start, ...frames][round % 4] ?? []), noise);
      await verdict(inspect(archive, 1 + random() * 999));
    }
  });
});

describe("the input", () => {
  const fault = new Error("EIO: the disk is dying");
  async function* failing(start: Uint8Array) {
    yield start;
    throw fault;
  }

  test("its errors come through as they are", async () => {
    for (const start of [tar, Bun.gzipSync(tar), zstdCompressSync(tar)]) {
      const { bytes } = await decompress(failing(start.subarray(0, start.length - 9)));
      await expect(readAll(bytes)).rejects.toBe(fault);
    }
    await expect(decompress(failing(tar.subarray(0, 9)))).rejects.toBe(fault);
  });

  /** Data that don't compress, endless, and whether they were let go. */
  function watched(compress: (block: Uint8Array<ArrayBuffer>) => Uint8Array) {
    const random = seeded(3);
    const block = compress(Uint8Array.from({ length: 100_000 }, () => random() * 256));
    const state = { taken: 0, closed: Promise.withResolvers<void>() };
    async function* input() {
      try {
        for (;;) {
          state.taken += block.length;
          yield block;
        }
      } finally {
        state.closed.resolve();
      }
    }
    return { input, state };
  }

  test.each([
    ["gzip", (block: Uint8Array<ArrayBuffer>) => Bun.gzipSync(block)],
    ["zstd", (block: Uint8Array<ArrayBuffer>) => zstdCompressSync(block, checked)],
  ] as const)(
    "%s: is read no faster than the consumer, and closed with it",
    async (_, compress) => {
      const { input, state } = watched(compress);
      const { bytes } = await decompress(input());
      for await (const piece of bytes) {
        if (piece.length > 0) break;
      }
      await state.closed.promise;
      expect(state.taken).toBeLessThan(3_000_000);
    },
  );

  test("is closed when it is no archive", async () => {
    const { input, state } = watched((block) => block);
    await damage(decompress(input()));
    await state.closed.promise;
  });
});
