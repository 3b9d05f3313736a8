import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readTar } from "../../../src/archive/tar/reader.ts";
import { survey } from "../../../src/restore/intake/survey.ts";
import {
  END,
  header,
  joined,
  makeSnapshot,
  output,
  padded,
  paxLine,
  pieces,
  record,
  SNAPSHOT,
  ULID,
} from "../../archive/read-support.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";
import { listing, restore } from "../support.ts";

const skip = !needs("tar");
const root = tempDir();
makeSnapshot(root);
const good = skip
  ? new Uint8Array()
  : output(["tar", "-C", root, "--sort=name", "--format=ustar", "-cf", "-", SNAPSHOT]);

const block = `${SNAPSHOT}/${ULID}`;

function member(name: string, body = "x", fields: Parameters<typeof header>[0] = {}) {
  return joined(header({ name, size: body.length, ...fields }), padded(body));
}

function special(name: string, typeflag: string) {
  return header({ name, typeflag, size: 0 });
}

/** The good archive with members after it. */
function withMembers(...members: Uint8Array[]): Uint8Array {
  let end = good.length;
  while (end > 0 && good.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return joined(good.subarray(0, end), ...members, END);
}

const hostile: [string, Uint8Array, string][] = [
  ["an absolute name", withMembers(member("/etc/cron.d/x")), "its path is absolute"],
  ["a way up", withMembers(member(`${SNAPSHOT}/../../x`)), 'its path has ".." in it'],
  [
    "a way up in a pax record",
    withMembers(record("x", paxLine("path", `${block}/chunks/../../../x`)), member("innocent")),
    'its path has ".." in it',
  ],
  ["a symbolic link", withMembers(special(`${block}/chunks/000002`, "2")), "it is a symbolic link"],
  ["a hard link", withMembers(special(`${block}/chunks/000002`, "1")), "it is a hard link"],
  ["a device", withMembers(special(`${block}/x`, "3")), "it is a character device"],
  ["a named pipe", withMembers(special(`${block}/x`, "6")), "it is a named pipe"],
  ["a file twice", withMembers(member(`${block}/index`)), "it is in the archive twice"],
  ["a directory twice", withMembers(special(`${block}/`, "5")), "it is in the archive twice"],
  ["another case of a file", withMembers(member(`${block}/INDEX`)), "differs from the name"],
  [
    "another case of a block",
    withMembers(member(`${SNAPSHOT}/${ULID.toLowerCase()}/index`)),
    "differs",
  ],
  ["another case of a segment", withMembers(member(`${block}/Chunks/000002`)), "differs from"],
  ["a second snapshot", withMembers(member("other-1/x")), "a second directory at the top"],
];

test.skipIf(skip).each(hostile)(
  "%s is refused, and nothing is written",
  async (_, bytes, message) => {
    const directory = tempDir();
    const file = join(directory, "hostile.tar");
    writeFileSync(file, bytes);
    for (const flags of [[], ["--skip-unknown", "--skip-damaged"]]) {
      const { status, stderr } = await restore(
        file,
        "--data-dir",
        join(directory, "data"),
        ...flags,
      );
      expect([status, stderr]).toEqual([3, expect.stringContaining(message)]);
      expect(readdirSync(directory)).toEqual(["hostile.tar"]);
    }
  },
);

const foreign: [string, Uint8Array, string][] = [
  ["a file beside the blocks", member(`${SNAPSHOT}/README`), "README"],
  ["a file in a block", member(`${block}/index.bak`), "index.bak"],
  ["a file that is no segment", member(`${block}/chunks/junk`), "chunks/junk"],
  ["a segment 000000", member(`${block}/chunks/000000`), "chunks/000000"],
  ["a file in the place of the chunks", member(`${block}/chunks/000001/x`), "chunks/000001/x"],
];

test.skipIf(skip).each(foreign)("%s is refused, or left out", async (_, added, name) => {
  const directory = tempDir();
  const file = join(directory, "foreign.tar");
  writeFileSync(file, withMembers(added));
  const target = join(directory, "data");
  const refused = await restore(file, "--data-dir", target);
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining(name)]);
  expect(refused.stderr).toContain("--skip-unknown");
  expect(readdirSync(directory)).toEqual(["foreign.tar"]);
  const { status } = await restore(file, "--data-dir", target, "--skip-unknown", "--retention=10y");
  expect(status).toBe(0);
  expect(listing(target)).toEqual(listing(join(root, SNAPSHOT)));
});

test.skipIf(skip)(
  "what is announced as more than there is, and the other way round, is refused",
  async () => {
    const directory = tempDir();
    const file = join(directory, "cut.tar");
    const at = Buffer.from(good).indexOf(`${block}/index\0`);
    const bytes = Uint8Array.from(good);
    // One more block than the index has: the next member's header is taken for content.
    const size = readFileSync(join(root, block, "index")).length + 512;
    bytes.set(header({ name: `${block}/index`, size }), at);
    writeFileSync(file, bytes);
    const { status } = await restore(file, "--data-dir", join(directory, "data"));
    expect(status).toBe(3);
    expect(readdirSync(directory)).toEqual(["cut.tar"]);
  },
);

test.skipIf(skip)(
  "a survey tells each block with its files and what its meta.json says",
  async () => {
    const { snapshot, blocks, unknown } = await survey(readTar(pieces(good)));
    expect([snapshot, unknown]).toEqual([SNAPSHOT, []]);
    expect(blocks).toEqual([
      expect.objectContaining({ ulid: ULID, bytes: 59 + 355 + 9 + 266, errors: [] }),
    ]);
    expect([...(blocks[0]?.files.keys() ?? [])].sort()).toEqual([
      "chunks/000001",
      "index",
      "meta.json",
      "tombstones",
    ]);
    expect(blocks[0]?.meta?.stats.numSamples).toBe(3);
  },
);
