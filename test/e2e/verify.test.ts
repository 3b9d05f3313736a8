import { describe, expect, test } from "bun:test";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { atEnd } from "../support/at-end.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

const { dataDir } = await makeBlocks({ hours: 4, series: 20 });
const prometheus = await startPrometheus({ dataDir });
const cwd = tempDir();
const local = ["--snapshot-dir", prometheus.snapshotDir, "--prometheus-endpoint", prometheus.url];
await run("prombackup", ["create", ...local, "--output", "good.tar"], { cwd });
const good = readFileSync(join(cwd, "good.tar"));

function verify(...args: string[]) {
  return run("prombackup", ["verify", ...args], { cwd });
}

test.each([[], ["--full"], ["--quick"]])(
  "blocks that Prometheus wrote pass without a warning %p",
  async (...flags) => {
    const { status, stdout, stderr } = await verify("good.tar", ...flags);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^BLOCK +FROM +TO +SERIES +CHUNKS +SAMPLES +SIZE +VERDICT\n(\S{26} .* ok\n)+\nsnapshot /,
    );
    expect(stdout).not.toContain("warning");
  },
);

test.skipIf(!needs("script"))("on a terminal a progress line is drawn and taken away", async () => {
  // From a pipe, whose size isn't known.
  const command = `cat slow | ${commandLine("prombackup", ["verify", "-"]).join(" ")}`;
  await Bun.$`mkfifo ${join(cwd, "slow")}`;
  const feeder = Bun.spawn(["sh", "-c", "cat > slow"], { cwd, stdin: "pipe" });
  const terminal = Bun.spawn(["script", "-qec", command, "/dev/null"], {
    cwd,
    env: cleanEnvironment({ TERM: "xterm" }),
    stdin: null,
    stdout: "pipe",
  });
  const line = /\rESC\[K[\d.]+ [KM]iB {2}[\d.]+ [KM]?i?B\/s/;
  let drawn = "";
  const drawing = (async () => {
    for await (const piece of terminal.stdout) {
      drawn += Buffer.from(piece).toString().replaceAll("\u001b", "ESC");
    }
  })();
  // The second half comes byte by byte until the line is there, whenever that is.
  let sent = Math.floor(good.length / 2);
  feeder.stdin.write(good.subarray(0, sent));
  while (!line.test(drawn) && sent < good.length - 1) {
    feeder.stdin.write(good.subarray(sent, ++sent));
    feeder.stdin.flush();
    await Bun.sleep(20);
  }
  feeder.stdin.write(good.subarray(sent));
  feeder.stdin.end();
  await drawing;
  expect(drawn).toMatch(line);
  expect(drawn).toMatch(/\rESC\[KBLOCK /);
});

test("a bit flipped in a chunk is found where it is, with what Prometheus would do and the remedy", async () => {
  const bytes = Uint8Array.from(good);
  // Within the first segment, whose header follows the members' names.
  const at = good.indexOf(Uint8Array.of(0x85, 0xbd, 0x40, 0xdd)) + 500;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(join(cwd, "flipped.tar"), bytes);
  const { status, stdout, stderr } = await verify("flipped.tar");
  expect(status).toBe(3);
  expect(stderr).toMatch(
    /flipped\.tar is not a good backup: block \S+, chunks\/000001, offset \d+: .*queries fail; restore this block/,
  );
  expect(stdout).toContain(" damaged\n");
  const asJson = await verify("flipped.tar", "--json");
  expect([asJson.status, JSON.parse(asJson.stdout).ok]).toEqual([3, false]);
  expect((await verify("flipped.tar", "--quick")).status).toBe(0);
});

test("a wrong SHA-256 is told with what it was compared with", async () => {
  const sha256 = "ab".repeat(32);
  const flagged = await verify("good.tar", "--sha256", sha256);
  expect([flagged.status, flagged.stderr]).toEqual([
    3,
    expect.stringContaining(`--sha256 says ${sha256}`),
  ]);
  writeFileSync(join(cwd, "good.tar.sha256"), `${sha256}  good.tar\n`);
  const beside = await verify("good.tar");
  expect([beside.status, beside.stderr]).toEqual([
    3,
    expect.stringContaining(`good.tar.sha256 says ${sha256}`),
  ]);
  writeFileSync(join(cwd, "good.tar.sha256"), "rubbish\n");
  expect((await verify("good.tar")).status).toBe(1);
  expect((await run("prombackup", ["verify", "-"], { cwd, stdin: good })).stdout).toContain(
    "nothing to compare the SHA-256 with",
  );
});

const odd: [string, Uint8Array | undefined, number, string][] = [
  ["missing.tar", undefined, 1, "doesn't exist"],
  [".", undefined, 1, "holds no block: name the directory"],
  ["empty.tar", new Uint8Array(), 3, "is damaged"],
  ["page.tar", Buffer.from("<!doctype html><html>"), 3, "is damaged"],
  ["half.tar", good.subarray(0, good.length / 2), 3, "is damaged"],
  ["endless.tar", good.subarray(0, good.length - 512), 3, "is damaged"],
];
test.each(odd)("%s", async (name, content, expected, message) => {
  if (content !== undefined) writeFileSync(join(cwd, name), content);
  const { status, stderr } = await verify(name);
  expect([status, stderr]).toEqual([expected, expect.stringContaining(message)]);
  const asJson = await verify(name, "--json");
  expect([asJson.status, asJson.stderr]).toEqual([status, stderr]);
  if (status === 3) {
    const { ok, errors } = JSON.parse(asJson.stdout);
    expect([ok, errors]).toEqual([false, [expect.stringContaining(message)]]);
  }
});

test("a device is told to be none", async () => {
  const { status, stderr } = await verify("/dev/null");
  expect([status, stderr]).toEqual([1, "prombackup: /dev/null is a device, not an archive\n"]);
});

test("an archive comes through a named pipe, too", async () => {
  await Bun.$`mkfifo ${join(cwd, "pipe")}`;
  const writer = Bun.spawn(["cp", "good.tar", "pipe"], { cwd });
  const { status, stderr } = await verify("pipe");
  expect([status, stderr, await writer.exited]).toEqual([0, "", 0]);
});

describe("a checksum file that is none", () => {
  const dir = tempDir();
  const archive = join(dir, "x.tar");
  writeFileSync(archive, good);
  const sum = `${archive}.sha256`;
  const odd: [string, () => unknown, string][] = [
    ["a pipe that nobody writes", () => Bun.$`mkfifo ${sum}`, "not a regular file"],
    ["a directory", () => mkdirSync(sum), "not a regular file"],
    ["endless", () => Bun.$`truncate -s 5000000000 ${sum}`, "5000000000 bytes long"],
    ["a list", () => writeFileSync(sum, `${"ab".repeat(32)}  x\n`.repeat(2)), "one SHA-256"],
    ["empty", () => writeFileSync(sum, ""), "one SHA-256"],
  ];
  test.each(odd)("%s", async (_, make, message) => {
    rmSync(sum, { force: true, recursive: true });
    await make();
    const { status, stdout, stderr } = await verify(archive);
    expect([status, stdout, stderr]).toEqual([1, "", expect.stringContaining(message)]);
  });
});

test("with a download's id, one that failed is told before the archive is read", async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      Response.json({
        id: "x",
        snapshot_name: "y",
        finished: { success: false, error_text: "disk broke", sha256_hex: "" },
      }),
  });
  atEnd(() => server.stop(true));
  const { status, stderr } = await verify("-", "--id", "x", "--server", String(server.url));
  expect([status, stderr]).toEqual([3, expect.stringContaining("failed: disk broke")]);
});

const place = tempDir();
Bun.spawnSync(["tar", "xf", join(cwd, "good.tar"), "-C", place]);
const [snapshot = ""] = readdirSync(place);
const [block = ""] = readdirSync(join(place, snapshot)).sort();
const path = join(place, snapshot, block);

describe("a directory", () => {
  const kinds: [string, string][] = [
    ["an extracted archive", place],
    ["a snapshot", join(place, snapshot)],
    ["a block", path],
    ["a data directory", dataDir],
  ];
  test.each(kinds)("%s passes", async (_, directory) => {
    for (const flags of [[], ["--full"], ["--quick"]]) {
      const { status, stdout, stderr } = await verify(directory, ...flags);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^BLOCK .*\n(\S{26} .* ok\n)+\ndirectory \S+: \d+ blocks?, /);
      expect(stdout).not.toContain("SHA-256");
    }
  });

  test("tells the same of its blocks as the archive", async () => {
    writeFileSync(join(cwd, "same.tar"), good);
    const [a, b] = await Promise.all(
      ["same.tar", place].map((of) => verify(of, "--json", "--full")),
    );
    const [archive, directory] = [a, b].map((result) => JSON.parse(result?.stdout ?? ""));
    expect(directory.blocks).toEqual(archive.blocks);
    expect(directory.contents).toEqual(archive.contents);
    expect(directory).toMatchObject({ ok: true, format: "directory", sha256: null, snapshot });
  });

  test("a data directory's other parts are named as not checked", async () => {
    const { stdout } = await verify(dataDir);
    expect(stdout).toMatch(/warning: .*chunks_head.*wal: Prometheus's own, not checked\n/);
  });

  test("a block under another name is known by its meta.json", async () => {
    const other = join(tempDir(), "copy");
    cpSync(path, other, { recursive: true });
    const { status, stdout } = await verify(other);
    expect([status, stdout]).toEqual([0, expect.stringContaining(block)]);
  });

  test("damage is found, and links are not followed", async () => {
    const copy = join(tempDir(), snapshot);
    cpSync(join(place, snapshot), copy, { recursive: true });
    const segment = join(copy, block, "chunks", "000001");
    const bytes = readFileSync(segment);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeFileSync(segment, bytes);
    symlinkSync(path, join(copy, "01BX5ZZKBKACTAV9WEVGEMMVRZ"));
    symlinkSync(join(path, "index"), join(copy, block, "linked"));
    const { status, stdout } = await verify(copy);
    expect(status).toBe(3);
    expect(stdout).toContain(`error: block ${block}, chunks/000001, offset `);
    expect(stdout).toContain("error: 01BX5ZZKBKACTAV9WEVGEMMVRZ is no directory, but a file or a");
    expect(stdout).toContain(`error: ${block}/linked is a symbolic link`);
  });

  test.each([[], ["--quick"]])(
    "and an archive with a block's name in lower case fails, as Prometheus takes it for a block %p",
    async (...flags) => {
      const copy = join(tempDir(), snapshot);
      mkdirSync(copy);
      cpSync(path, join(copy, block), { recursive: true });
      const lower = "01bx5zzkbkactav9wevgemmvrz";
      cpSync(path, join(copy, lower), { recursive: true });
      Bun.spawnSync(["tar", "cf", join(cwd, "lower.tar"), "-C", join(copy, ".."), snapshot]);
      for (const what of [copy, join(copy, lower), "lower.tar"]) {
        const { status, stdout } = await verify(what, ...flags);
        expect([status, stdout]).toEqual([3, expect.stringContaining(`error: block ${lower}`)]);
        expect(stdout).toMatch(/Prometheus takes it for a block, but .* upper case alone.*rename/);
      }
    },
  );

  test("and an archive with a block under a strange name beside the others tell that it is passed over", async () => {
    const copy = join(tempDir(), snapshot);
    cpSync(join(place, snapshot), copy, { recursive: true });
    cpSync(path, join(copy, `${block}.bak`), { recursive: true });
    Bun.spawnSync(["tar", "cf", join(cwd, "bak.tar"), "-C", join(copy, ".."), snapshot]);
    for (const what of [copy, "bak.tar"]) {
      const { status, stdout } = await verify(what);
      expect([status, stdout]).toEqual([
        0,
        expect.stringMatching(
          /warning: .*\.bak looks like a block, but|warning: .*\.bak is no part of a snapshot: it looks like a block, but/,
        ),
      ]);
    }
  });

  test("may be named by a link, and a link within it is none", async () => {
    const links = tempDir();
    for (const [name, target] of [
      ["a-block", path],
      ["a-snapshot", join(place, snapshot)],
    ] as const) {
      symlinkSync(target, join(links, name));
      const { status, stdout } = await verify(join(links, name));
      expect([status, stdout]).toEqual([0, expect.stringContaining(`${block} `)]);
    }
    const dangling = tempDir();
    symlinkSync("/nowhere", join(dangling, snapshot));
    const { status, stderr } = await verify(dangling);
    expect([status, stderr]).toEqual([1, expect.stringContaining("holds no block")]);
  });

  test("with several snapshots in it, one is to be named", async () => {
    await run("prombackup", ["create", ...local, "--output", "-", "--remove-snapshot=false"]);
    await run("prombackup", ["create", ...local, "--output", "-", "--remove-snapshot=false"]);
    const { status, stderr } = await verify(prometheus.snapshotDir);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/holds 2 snapshots: name one/)]);
  });

  test("there is no digest to compare", async () => {
    const { status, stderr } = await verify(place, "--sha256", "ab".repeat(32));
    expect([status, stderr]).toEqual([2, expect.stringContaining("--sha256 is about an archive")]);
  });
});

test("an archive that the server has no record of is reported all the same", async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => Response.json({ downloads: [] }),
  });
  atEnd(() => server.stop(true));
  writeFileSync(join(cwd, "unknown.tar"), good);
  const { status, stdout, stderr } = await verify("unknown.tar", "--server", String(server.url));
  expect([status, stderr]).toEqual([1, expect.stringContaining("has no download of this SHA-256")]);
  expect(stdout).toContain(" ok\n");
});

test("--quick=false excludes nothing", async () => {
  writeFileSync(join(cwd, "plain.tar"), good);
  expect((await verify("plain.tar", "--quick=false", "--full")).status).toBe(0);
  expect((await verify("plain.tar", "--quick", "--full")).status).toBe(2);
});

test("an empty name is none", async () => {
  const { status, stderr } = await verify("");
  expect([status, stderr]).toEqual([2, expect.stringContaining("FILE is missing")]);
});
