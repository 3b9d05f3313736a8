import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readTar } from "../../../src/archive/tar/reader.ts";
import { DamagedError } from "../../../src/lib/errors.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import {
  damage,
  END,
  flipped,
  header,
  inspect,
  joined,
  makeSnapshot,
  output,
  padded,
  paxLine,
  pieces,
  readAll,
  record,
  SNAPSHOT,
  seeded,
  verdict,
} from "../read-support.ts";

// Sweeps over every byte and bit take seconds, and more on a busy machine.
setDefaultTimeout(120_000);

interface Listed {
  readonly path: string;
  readonly type: string;
  readonly size: number;
  readonly mtime: number;
  readonly content: string;
}

async function list(archive: Uint8Array, size?: number): Promise<Listed[]> {
  const listed: Listed[] = [];
  for await (const { path, type, size: bytes, mtime, body } of readTar(pieces(archive, size))) {
    const content = Bun.hash(await readAll(body)).toString(16);
    listed.push({ path, type, size: bytes, mtime, content });
  }
  return listed.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const LONG = `${"d".repeat(90)}/${"e".repeat(200)}/${"f".repeat(255)}`;
const NAMES = ["a", "empty", "of 512 bytes", "of 513 bytes", "ü/日本", LONG];

/** A directory of files of all kinds of names and sizes, and what a listing of it must be. */
function makeFiles(root: string, names: readonly string[]): Listed[] {
  const listed = new Map<string, Listed>();
  const mtime = 1700000000;
  const add = (path: string, type: string, content: Uint8Array) =>
    listed.set(path, {
      path,
      type,
      size: content.length,
      mtime,
      content: Bun.hash(content).toString(16),
    });
  names.forEach((name, i) => {
    const path = `top/${name}`;
    const content = new Uint8Array(name === "empty" ? 0 : Number(/\d+/.exec(name) ?? 99));
    content.fill(i + 1);
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    add(path, "file", content);
    for (let up = dirname(path); up !== "."; up = dirname(up))
      add(up, "directory", new Uint8Array(0));
  });
  for (const path of listed.keys()) utimesSync(join(root, path), mtime, mtime);
  return [...listed.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function python(format: string): string[] {
  const open = `tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.${format})`;
  return ["python3", "-c", `import sys, tarfile\nwith ${open} as t: t.add("top")`];
}

describe("reads what the tools write", () => {
  const short = NAMES.filter((name) => name.length < 90);
  const ascii = short.filter((name) => /^[ -~]+$/.test(name));
  const tools: [tool: "tar" | "bsdtar" | "busybox" | "python3", string[], readonly string[]][] = [
    ["tar", ["tar", "-c", "--format=v7", "top"], short],
    ["tar", ["tar", "-c", "--format=oldgnu", "top"], NAMES],
    ["tar", ["tar", "-c", "--format=gnu", "top"], NAMES],
    ["tar", ["tar", "-c", "--format=ustar", "top"], short],
    ["tar", ["tar", "-c", "--format=posix", "top"], NAMES],
    ["tar", ["tar", "-c", "--format=posix", "--pax-option=globexthdr.name=g,a=b", "top"], NAMES],
    ["bsdtar", ["bsdtar", "-c", "--format=v7", "top"], ascii],
    ["bsdtar", ["bsdtar", "-c", "--format=ustar", "top"], ascii],
    ["bsdtar", ["bsdtar", "-c", "--format=pax", "top"], NAMES],
    ["bsdtar", ["bsdtar", "-c", "--format=gnutar", "top"], NAMES],
    ["busybox", ["busybox", "tar", "-c", "top"], NAMES],
    ["python3", python("USTAR_FORMAT"), short],
    ["python3", python("GNU_FORMAT"), NAMES],
    ["python3", python("PAX_FORMAT"), NAMES],
  ];
  for (const [tool, command, names] of tools) {
    const format = /\w+_FORMAT|--format.*/.exec(command.join(" "))?.[0] ?? "";
    test.skipIf(!needs(tool))(`${tool} ${format}, in pieces of many sizes`, async () => {
      const dir = tempDir();
      const expected = makeFiles(dir, names);
      const archive = output(command, { cwd: dir });
      expect(await list(archive)).toEqual(expected);
      for (let size = 1; size <= 1025; size += 16) {
        expect(await list(archive, size)).toEqual(expected);
      }
    });
  }

  test.skipIf(!needs("tar"))("the same in pieces of every size from 1 to 1025", async () => {
    const dir = tempDir();
    const expected = makeFiles(dir, NAMES);
    const archive = output(["tar", "-c", "--format=posix", "top"], { cwd: dir });
    for (let size = 1; size <= 1025; size++) expect(await list(archive, size)).toEqual(expected);
  });

  test.skipIf(!needs("tar"))("links and pipes are told as what they are", async () => {
    const dir = tempDir();
    output(["sh", "-c", "mkdir top; echo >top/a; ln top/a top/b; mkfifo top/c"], { cwd: dir });
    symlinkSync("/etc/passwd", join(dir, "top/d"));
    const kinds: string[] = [];
    const archive = output(["tar", "-c", "--sort=name", "top"], { cwd: dir });
    for await (const { path, type, kind } of readTar(pieces(archive))) {
      kinds.push(`${path} ${type} ${kind}`);
    }
    expect(kinds).toEqual([
      "top directory directory",
      "top/a file file",
      "top/b other hard link",
      "top/c other named pipe",
      "top/d other symbolic link",
    ]);
  });

  for (const [tool, ...command] of [
    ["tar", "tar", "-c", "--format=posix", "large"],
    ["tar", "tar", "-c", "--format=gnu", "large"],
    ["bsdtar", "bsdtar", "-c", "--no-read-sparse", "--format=pax", "large"],
  ] as const) {
    test.skipIf(!needs(tool))(`the header of a file of 9 GB: ${command.join(" ")}`, async () => {
      const dir = tempDir();
      writeFileSync(join(dir, "large"), "");
      truncateSync(join(dir, "large"), 9_000_000_000);
      const script = `${command.join(" ")} | head -c 10240`;
      const start = output(["sh", "-c", script], { cwd: dir });
      const [first] = await Array.fromAsync(takeOne(start));
      expect(first).toEqual({ path: "large", size: 9_000_000_000 });
      expect(await damage(list(start))).toMatch(/truncated: .* of the 9000000000 bytes of large$/);
    });
  }

  async function* takeOne(archive: Uint8Array) {
    for await (const { path, size } of readTar(pieces(archive))) {
      yield { path, size };
      break;
    }
  }

  test.skipIf(!needs("tar"))("a sparse file in GNU's form is refused, not misread", async () => {
    const dir = tempDir();
    writeFileSync(join(dir, "holes"), "");
    truncateSync(join(dir, "holes"), 1_000_000);
    for (const format of ["gnu", "posix", "posix --sparse-version=0.0"]) {
      const command = `tar -c --sparse --format=${format} holes`.split(" ");
      const archive = output(command, { cwd: dir });
      expect(await damage(list(archive))).toContain("sparse file in GNU's own form");
    }
  });

  test("an archive of zero blocks alone has no entries", async () => {
    expect(await list(END)).toEqual([]);
    expect(await list(new Uint8Array(10240), 7)).toEqual([]);
  });

  test("records apply to the next member alone, global ones to all", async () => {
    const archive = joined(
      record("g", paxLine("mtime", "5") + paxLine("comment", "made by hand")),
      header({ name: "a", mtime: 1 }),
      record("x", paxLine("path", "long") + paxLine("size", "3") + paxLine("mtime", "7")),
      header({ name: "b" }),
      padded("abc"),
      record("K", "target\0"),
      record("L", "gnu\0"),
      header({ name: "c" }),
      header({ name: "d" }),
      END,
    );
    const entries = (await list(archive)).map(({ path, size, mtime }) => [path, size, mtime]);
    expect(entries).toEqual([
      ["a", 0, 5],
      ["d", 0, 5],
      ["gnu", 0, 5],
      ["long", 3, 7],
    ]);
  });

  test("a name that ends in a slash is a directory's, its slash is left out", async () => {
    for (const typeflag of ["0", "\0", "5"]) {
      const [entry] = await list(joined(header({ name: "d/", typeflag }), END));
      expect(entry).toMatchObject({ path: "d", type: "directory" });
    }
  });
});

describe("bodies", () => {
  const archive = joined(
    header({ name: "a", size: 5000 }),
    padded(new Uint8Array(5000).fill(1)),
    header({ name: "b", size: 3 }),
    padded("abc"),
    END,
  );

  test("that nobody reads are skipped", async () => {
    for (const size of [1, 100, 512, 20000]) {
      const paths = await Array.fromAsync(readTar(pieces(archive, size)), (entry) => entry.path);
      expect(paths).toEqual(["a", "b"]);
    }
  });

  test("that are read in part are skipped from there", async () => {
    const seen: string[] = [];
    for await (const { path, body } of readTar(pieces(archive, 100))) {
      for await (const piece of body) {
        seen.push(`${path} ${piece.length}`);
        break;
      }
    }
    expect(seen).toEqual(["a 88", "b 3"]);
  });

  test("cannot be read after their entry", async () => {
    const entries = await Array.fromAsync(readTar(pieces(archive)));
    for (const { body } of entries.slice(0, 1)) {
      // All of it was skipped: there is nothing left, and nothing of another member comes.
      expect((await readAll(body)).length).toBe(0);
    }
    const reader = readTar(pieces(archive, 100));
    const first = await reader.next();
    if (first.done) throw new Error("no entry");
    const reading = first.value.body[Symbol.asyncIterator]();
    await reading.next();
    await reader.next();
    expect((await reading.next()).done).toBe(true);
  });

  test("an error of theirs comes again to whoever swallows it", async () => {
    async function* failing() {
      yield archive.subarray(0, 2000);
      throw new DamagedError("gzip: damaged");
    }
    let swallowed = "";
    const reading = (async () => {
      for await (const { body } of readTar(failing())) {
        await readAll(body).catch((error: Error) => {
          swallowed = error.message;
        });
      }
    })();
    expect(await damage(reading)).toBe("gzip: damaged (the last member reached is a)");
    expect(swallowed).toBe("gzip: damaged (the last member reached is a)");
  });

  test("the input is closed at the end, on damage, and when the consumer stops", async () => {
    for (const [bytes, stop] of [
      [archive, false],
      [archive, true],
      [archive.subarray(0, 3000), false],
    ] as const) {
      let closed = false;
      async function* input() {
        try {
          yield* pieces(bytes, 1000);
        } finally {
          closed = true;
        }
      }
      const reading = (async () => {
        for await (const _ of readTar(input())) if (stop) break;
      })();
      await verdict(reading);
      expect(closed).toBe(true);
    }
  });
});

describe("finds damage", () => {
  const dir = tempDir();
  const formats = ["v7", "gnu", "ustar", "posix"] as const;
  const archives = new Map<string, Uint8Array<ArrayBuffer>>();

  beforeAll(() => {
    makeSnapshot(dir);
    for (const format of formats) {
      const options = [
        "--sort=name",
        "--blocking-factor=1",
        `--format=${format}`,
        "--mtime=@1700000000",
      ];
      if (!needs("tar")) return;
      archives.set(format, output(["tar", "-c", ...options, SNAPSHOT], { cwd: dir }));
    }
  });

  function archiveOf(format: string): Uint8Array<ArrayBuffer> {
    const archive = archives.get(format);
    if (!archive) throw new Error(`no ${format} archive was made`);
    return archive;
  }

  for (const format of formats) {
    test.skipIf(!needs("tar"))(`truncation at every byte: ${format}`, async () => {
      const archive = archiveOf(format);
      for (let end = 0; end < archive.length; end++) {
        expect(await damage(inspect(archive.subarray(0, end)))).not.toBe("");
        expect(await damage(list(archive.subarray(0, end)))).toContain(
          "tar: truncated: it ends at",
        );
      }
    });

    test.skipIf(!needs("tar"))(`every bit of the headers: ${format}`, async () => {
      const archive = archiveOf(format);
      const sound = await list(archive);
      for (const at of headersOf(archive)) {
        for (let bit = at * 8; bit < (at + 512) * 8; bit++) {
          const damaged = flipped(archive, bit);
          if ((await verdict(list(damaged))) !== "sound") continue;
          // The checksum's own field: a leading zero as a space, the bytes after its digits.
          expect((bit >> 3) - at).toBeOneOf([148, 149, 154, 155]);
          expect(await list(damaged)).toEqual(sound);
        }
      }
    });
  }

  /** Where the headers are: wherever a block has a valid magic or, in the oldest form, a name. */
  function headersOf(archive: Uint8Array): number[] {
    const blocks = Array.from({ length: archive.length / 512 }, (_, i) => i * 512);
    const start = new TextEncoder().encode(SNAPSHOT.slice(0, 20));
    return blocks.filter((at) => {
      const block = Buffer.from(archive.subarray(at, at + 512));
      return block.subarray(257, 262).toString() === "ustar" || block.indexOf(start) === 0;
    });
  }

  test.skipIf(!needs("tar"))("every bit of padding and of the end", async () => {
    const archive = archiveOf("ustar");
    for (let at = archive.length - 1024 - 503; at < archive.length; at++) {
      expect(archive[at]).toBe(0);
      await damage(list(flipped(archive, at * 8 + (at & 7))));
    }
  });

  const cases: [name: string, archive: Uint8Array[], message: string][] = [
    ["nothing at all", [], "truncated: it ends at byte 0, where a header should be"],
    ["no end", [header()], "truncated: it ends at byte 512, where a header should be (the last"],
    [
      "half an end",
      [header(), END.subarray(512)],
      "truncated: it ends at byte 1024, within its end",
    ],
    [
      "a single zero block",
      [END.subarray(512), header(), END],
      "a single zero block before byte 512",
    ],
    ["data after the end", [END, END, header()], "data after the archive's end, at byte 2048"],
    [
      "part of a block at the end",
      [END, END.subarray(24)],
      "truncated: it ends at byte 2024, within",
    ],
    [
      "rubbish in the padding",
      [header({ size: 1 }), padded("a").fill(1, 511), END],
      "the padding after a, at byte 513, is not zeros",
    ],
    [
      "a record without a member",
      [record("x", paxLine("path", "a")), END],
      "the archive ends at byte 1024, after a record about a member",
    ],
    [
      "two records of a kind",
      [record("L", "a\0"), record("L", "b\0"), header(), END],
      "bad header at byte 1024: a second record of its kind about one member",
    ],
    [
      "a record that is too large",
      [header({ typeflag: "x", size: 1024 * 1024 + 1 })],
      "the 'x' record at byte 0 has 1048577 bytes; more than 1048576 are refused",
    ],
    [
      "a record that is cut off",
      [header({ typeflag: "L", size: 600 }), new Uint8Array(600)],
      "truncated: it ends at byte 1112, in the 'L' record at byte 0",
    ],
    [
      "rubbish behind a record",
      [header({ typeflag: "L", size: 1 }), padded("a").fill(1, 100)],
      "the padding of the record at byte 0 is not zeros",
    ],
    [
      "a path for all members",
      [record("g", paxLine("path", "a")), header(), END],
      "bad header at byte 0: it gives one path or size to all members",
    ],
    [
      "a size for all members",
      [record("g", paxLine("size", "0")), header(), END],
      "bad header at byte 0: it gives one path or size to all members",
    ],
    ["a broken pax record", [record("x", "0 a=b\n"), header(), END], "bad header at byte 0: a pax"],
    ["a name with NUL", [record("L", "a\0b\0"), header(), END], "its name has a NUL byte in it"],
    [
      "a pax path with NUL",
      [record("x", paxLine("path", "a\0b")), header(), END],
      "bad header at byte 1024: its name has a NUL byte in it",
    ],
    ["no name", [header({ name: "" }), END], "bad header at byte 0: its name is empty"],
    [
      "a link with content",
      [header({ typeflag: "2", size: 1 })],
      "its size is 1, but a symbolic link",
    ],
    [
      "a directory with content",
      [header({ typeflag: "5", size: 9 })],
      "but a directory has no content",
    ],
    [
      "a directory by its name with content",
      [header({ name: "a/", size: 9 })],
      "but a directory has",
    ],
    ["a sparse file", [header({ typeflag: "S" }), END], "it is a sparse file in GNU's own form"],
    ["a wrong magic", [header({ magic: "ustar!!!" }), END], "its magic is none that a tar writes"],
    [
      "a size beyond what can be counted",
      [header({ size: Uint8Array.of(0x80, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0) })],
      "bad header at byte 0: its size is not a number that fits",
    ],
    ["text", [new Uint8Array(512).fill(65)], "bad header at byte 0: its checksum is wrong"],
  ];
  test.each(cases)("%s", async (_, parts, message) => {
    for (const size of [1, 300, 100_000]) {
      expect(await damage(list(joined(...parts), size))).toContain(`tar: `);
      expect(await damage(list(joined(...parts), size))).toContain(message);
    }
  });

  test("a hostile name cannot steer a terminal or fill the screen", async () => {
    const name = `\x1b[2Jevil\u202e${"x".repeat(5000)}`;
    const message = await damage(
      list(joined(record("x", paxLine("path", name)), header({ size: 9 }))),
    );
    expect(message).toStartWith("tar: truncated: it ends at byte 6144, after 0 of the 9 bytes of ");
    expect(message).toContain("\\u{1b}[2Jevil\\u{202e}xxx");
    expect(message.length).toBeLessThan(400);
  });

  test.skipIf(!needs("tar"))("random damage never crashes or hangs it", async () => {
    const random = seeded(5);
    for (let round = 0; round < 5000; round++) {
      const archive = archiveOf(formats[round % 4] ?? "gnu").slice();
      for (let hits = random() * 4; hits >= 0; hits--) {
        const at = Math.floor(random() * archive.length);
        archive.fill(random() * 256, at, at + 2 ** (random() * 10));
        // With a right checksum the damage gets past it.
        if (random() < 0.5) rechecksum(archive, at - (at % 512));
      }
      await verdict(inspect(archive, 1 + random() * 999));
    }
  });

  function rechecksum(archive: Uint8Array, at: number): void {
    archive.fill(0x20, at + 148, at + 156);
    const sum = archive.subarray(at, at + 512).reduce((all, byte) => all + byte, 0);
    archive.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), at + 148);
  }
});
