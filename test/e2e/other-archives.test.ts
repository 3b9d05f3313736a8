import { expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { blockNames, listing, restore, SNAPSHOT } from "../restore/support.ts";
import { run } from "../support/programs.ts";
import { makeBlocks } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

// Archives of a snapshot that somebody else has packed, or packed again.

needs("promtool", "tar", "bsdtar", "busybox", "gzip", "zstd", "python3");
const made = (await makeBlocks({ hours: 6, series: 50 })).dataDir;
const place = tempDir();
const blocks = blockNames(made);
mkdirSync(join(place, SNAPSHOT));
for (const name of blocks) {
  cpSync(join(made, name), join(place, SNAPSHOT, name), { recursive: true });
}

/** Packs by a shell's command line, in which $S is the snapshot's directory. */
function pack(line: string): string {
  const archive = join(tempDir(), "archive");
  const env = { PATH: process.env["PATH"] ?? "", S: SNAPSHOT, TMP: tempDir() };
  const packed = Bun.spawnSync(["bash", "-ec", `{ ${line}; } > ${archive}`], { cwd: place, env });
  expect(packed.stderr.toString()).toBe("");
  return archive;
}

const python = (format: string) =>
  `python3 -c 'import sys, tarfile; t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.${format}_FORMAT); t.add("${SNAPSHOT}"); t.close()'`;

test.each([
  ...["gnu", "oldgnu", "pax", "ustar", "v7"].map((format) => `tar -c --format=${format} $S`),
  "tar -c ./$S",
  "tar -c .",
  "tar -c -S --xattrs --acls $S",
  "tar -c -b 2000 $S",
  "tar -c --no-recursion $(find $S -type f)",
  "tar -c --no-recursion $(find $S | sort -r)",
  "tar -c --format=pax --pax-option=comment=x $S",
  "tar -c $S | gzip -9",
  "tar -c $S | gzip -1 --rsyncable",
  "tar -c $S | split -b 20000 --filter=gzip -",
  "tar -c $S | zstd -q -19 --long=27",
  "tar -c $S | zstd -q --no-check --fast=5",
  "tar -c $S | split -b 20000 --filter='zstd -qc' -",
  ...["pax", "ustar", "gnutar", "v7"].map((format) => `bsdtar -c -f - --format ${format} $S`),
  // Not to a pipe, behind whose end it writes zeros.
  ...["-z", "--zstd"].map((way) => `bsdtar -c ${way} -f $TMP/x $S && cat $TMP/x`),
  "busybox tar -c -z -f - $S",
  ...["PAX", "GNU", "USTAR"].map(python),
])("%s is verified and restored", async (line) => {
  const archive = pack(line);
  const verified = await run("prombackup", ["verify", archive]);
  expect([verified.status, verified.stderr]).toEqual([0, ""]);
  expect(verified.stdout).not.toContain("warning");
  const target = join(tempDir(), "data");
  const { status, stderr } = await restore(archive, "--data-dir", target);
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  expect(listing(target)).toEqual(listing(made));
});

test.each<[line: string, verify: number, restore: number, why: string]>([
  ["tar -c -C $S .", 3, 3, "pack the directory that holds the blocks, not the blocks themselves"],
  ["cd $S; tar -c *", 3, 3, "pack the directory that holds the blocks, not the blocks themselves"],
  ["tar -c -g $TMP/list $S", 3, 3, 'it is a member of type "D"'],
  ["tar -c --label=backup $S", 3, 3, 'it is a member of type "V"'],
  ["tar -c $S | zstd -q --ultra -22 --long=31", 3, 3, "compress with a smaller --long"],
  [
    "tar -c --no-recursion $(find $S -type f | awk -F/ '{ print $NF, $0 }' | sort | cut -d' ' -f2)",
    1,
    1,
    "don't stand together in the archive, so it can't be checked while it is read: extract it",
  ],
])("%s is refused, and it is told why", async (line, verify, expected, why) => {
  const archive = pack(line);
  expect((await run("prombackup", ["verify", archive])).status).toBe(verify);
  const parent = tempDir();
  const { status, stderr } = await restore(archive, "--data-dir", join(parent, "data"));
  expect([status, stderr]).toEqual([expected, expect.stringContaining(why)]);
  expect(readdirSync(parent)).toEqual([]);
});
