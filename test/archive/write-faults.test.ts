import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { planArchive } from "../../src/archive/plan.ts";
import { writeArchive } from "../../src/archive/write.ts";
import { BECOME_ANOTHER } from "../support/another-user.ts";
import { tempDir } from "../support/temp.ts";
import { readAll } from "./read-support.ts";
import {
  allClosed,
  archiveOf,
  FORMATS,
  failure,
  MIB,
  makeCompressor,
  makeFiles,
  NAME,
  noise,
  startArchive,
} from "./write-support.ts";

setDefaultTimeout(120_000);

const VICTIM = "b/z-index";
const LABEL = `${NAME}/${VICTIM}`;
const CHANGED = `Failure: ${LABEL} changed while it was read: `;
const REPLACED = `Failure: ${LABEL}: it was replaced by something else while it was read`;

/** What is done to a file between the plan and its turn, and what the archive then fails with. */
const FAULTS: Record<string, { fault: (file: string) => void; message: string }> = {
  vanishes: {
    fault: (file) => rmSync(file),
    message: `Failure: ${LABEL}: it vanished while it was read`,
  },
  shrinks: {
    fault: (file) => truncateSync(file, 10),
    message: `${CHANGED}it shrank from 6291456 to 10 bytes`,
  },
  grows: {
    fault: (file) => appendFileSync(file, "x"),
    message: `${CHANGED}it grew from 6291456 to 6291457 bytes`,
  },
  "is written to": {
    fault: (file) => utimesSync(file, 1, 1),
    message: `${CHANGED}it was written to`,
  },
  "becomes another file": {
    fault: (file) => {
      writeFileSync(`${file}.new`, readFileSync(file));
      renameSync(`${file}.new`, file);
    },
    message: `${CHANGED}another file took its place`,
  },
  "becomes a symbolic link": {
    fault: (file) => {
      renameSync(file, `${file}.old`);
      symlinkSync(`${file}.old`, file);
    },
    message: REPLACED,
  },
  "becomes a directory": {
    fault: (file) => {
      rmSync(file);
      mkdirSync(file);
    },
    message: `${CHANGED}another file took its place`,
  },
  "becomes a named pipe": {
    fault: (file) => {
      rmSync(file);
      Bun.spawnSync(["mkfifo", file]);
    },
    message: `${CHANGED}another file took its place`,
  },
  "is behind a directory that becomes a symbolic link": {
    fault: (file) => {
      const block = join(file, "..");
      renameSync(block, `${block}.old`);
      mkdirSync(`${block}.new`);
      writeFileSync(`${block}.new/z-index`, "secret");
      symlinkSync(`${block}.new`, block);
    },
    message: `${CHANGED}another file took its place`,
  },
};

/** A snapshot in which much comes before the file that something is done to. */
function makeVictim(): { snapshot: string; victim: string } {
  const snapshot = makeFiles(tempDir(), { "a/index": noise(64 * MIB), [VICTIM]: noise(6 * MIB) });
  return { snapshot, victim: join(snapshot, VICTIM) };
}

describe.each(FORMATS)("%s", (format) => {
  test.each(Object.entries(FAULTS))("fails when a file %s", async (_, { fault, message }) => {
    const { snapshot, victim } = makeVictim();
    const archive = await startArchive(snapshot, format, makeCompressor());
    await archive.next();
    fault(victim);
    expect((await failure(archive)).message).toBe(message);
    await allClosed(snapshot);
  });

  // Its whole length takes several reads, of which the first few have been made.
  test.each([
    [
      "shrinks",
      (file: string) => truncateSync(file, 63 * MIB),
      /it ended \d+ bytes before its size/,
    ],
    ["grows", (file: string) => appendFileSync(file, "x"), /it grew from \d+ to \d+ bytes/],
    ["is overwritten", (file: string) => utimesSync(file, 1, 1), /it was written to/],
  ])("fails when a file %s while it is read", async (_, fault, message) => {
    const { snapshot } = makeVictim();
    const archive = await startArchive(snapshot, format, makeCompressor());
    let bytes = 0;
    while (bytes < 2 * MIB) bytes += (await archive.next()).value?.length ?? Infinity;
    fault(join(snapshot, "a/index"));
    const { message: told } = await failure(archive);
    expect(told).toStartWith(`Failure: ${NAME}/a/index changed while it was read: `);
    expect(told).toMatch(message);
    await allClosed(snapshot);
  });

  test("isn't disturbed by another link to a file going away", async () => {
    const { snapshot, victim } = makeVictim();
    Bun.spawnSync(["ln", victim, join(snapshot, "..", "another-link")]);
    const archive = await startArchive(snapshot, format, makeCompressor());
    const before = (await archive.next()).value ?? new Uint8Array();
    rmSync(join(snapshot, "..", "another-link"));
    const rest = await readAll(archive);
    const whole = await archiveOf(snapshot, format, makeCompressor());
    expect(Buffer.concat([before, rest]).equals(whole)).toBe(true);
  });

  test("goes by a held directory, whatever its path comes to name", async () => {
    const { snapshot } = makeVictim();
    const compressor = makeCompressor();
    const whole = await archiveOf(snapshot, format, compressor);
    const fd = openSync(snapshot, constants.O_DIRECTORY);
    try {
      const plan = await planArchive(`/proc/self/fd/${fd}`, NAME);
      renameSync(snapshot, `${snapshot}-deleted`);
      const bytes = await readAll(writeArchive(plan, format, compressor));
      expect(Buffer.compare(bytes, whole)).toBe(0);
    } finally {
      closeSync(fd);
    }
  });

  test("is whole but for links and pipes, and then fails with their names", async () => {
    const snapshot = makeFiles(tempDir(), { "b/index": "x", "b/meta.json": "{}" });
    const compressor = makeCompressor();
    const whole = await archiveOf(snapshot, format, compressor);
    const { mtimeMs } = await Bun.file(join(snapshot, "b")).stat();
    symlinkSync("index", join(snapshot, "b/link"));
    Bun.spawnSync(["mkfifo", join(snapshot, "b/pipe")]);
    utimesSync(join(snapshot, "b"), mtimeMs / 1000, mtimeMs / 1000);
    const { message, bytes } = await failure(await startArchive(snapshot, format, compressor));
    expect(message).toBe(
      `Failure: left out of the archive: ${NAME}/b/link is a symbolic link; ${NAME}/b/pipe is a named pipe`,
    );
    expect(Buffer.compare(bytes, whole)).toBe(0);
  });
});

/** A snapshot's archive as a user makes it who isn't root. */
const READ_IT = `
import { planArchive } from "${join(import.meta.dir, "../../src/archive/plan.ts")}";
import { createCompressor, writeArchive } from "${join(import.meta.dir, "../../src/archive/write.ts")}";
${BECOME_ANOTHER}
try {
  const plan = await planArchive(process.argv[1], "${NAME}");
  const compressor = createCompressor({ threads: 1, workerUrl: "" });
  for await (const _ of writeArchive(plan, "tar", compressor));
  console.log("no failure");
} catch (error) {
  console.log(error.message);
}`;

/** What the archive of a snapshot fails with for a user who isn't root. */
function failureForOther(snapshot: string): string {
  const run = Bun.spawnSync([process.execPath, "-e", READ_IT, snapshot]);
  return run.stdout.toString() + run.stderr.toString();
}

describe("what may not be read", () => {
  const remedy = "run prombackup as the user that Prometheus runs as";

  test.each([
    ["a file", "b/index", `${NAME}/b/index: not readable by user`],
    ["a directory", "b", `${NAME}/b: not readable by user`],
    ["the snapshot", "", `${NAME}: not readable by user`],
  ])("%s is named, with the user and the remedy", (_, path, message) => {
    const root = tempDir();
    chmodSync(root, 0o755);
    const snapshot = makeFiles(root, { "b/index": "x" });
    chmodSync(join(snapshot, path), 0);
    const told = failureForOther(snapshot);
    chmodSync(join(snapshot, path), 0o755);
    expect(told).toStartWith(message);
    expect(told).toContain(remedy);
  });
});
