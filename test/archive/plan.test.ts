import { describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { planArchive } from "../../src/archive/plan.ts";
import { tempDir } from "../support/temp.ts";
import { allClosed, makeFiles, NAME } from "./write-support.ts";

describe("planArchive", () => {
  test("is depth first, in byte order, a directory before what it holds", async () => {
    const snapshot = makeFiles(tempDir(), {
      "b/2": "",
      "b/1/x": "",
      "a.json": "",
      a: "",
      "a-/x": "",
      B: "",
      "\u{ff5e}": "", // sorts behind the next in UTF-16
      "\u{1f600}": "",
      "\ufeffmark": "",
      é: "",
    });
    const { members } = await planArchive(snapshot, NAME);
    expect(members.map(({ path }) => path)).toEqual([
      "",
      "B",
      "a",
      "a-",
      "a-/x",
      "a.json",
      "b",
      "b/1",
      "b/1/x",
      "b/2",
      "é",
      "\ufeffmark",
      "\u{ff5e}",
      "\u{1f600}",
    ]);
  });

  test("tells sizes, and whole seconds that are not negative", async () => {
    const snapshot = makeFiles(tempDir(), { after: "12345", before: "" });
    utimesSync(join(snapshot, "after"), 1_700_000_000.9, 1_700_000_000.9);
    Bun.spawnSync(["touch", "-d", "@-5", join(snapshot, "before")]);
    const { members } = await planArchive(snapshot, NAME);
    expect(members[1]).toMatchObject({ type: "file", size: 5, mtime: 1_700_000_000 });
    expect(members[2]).toMatchObject({ type: "file", size: 0, mtime: 0 });
    expect(members[0]).toMatchObject({ type: "directory", size: 0 });
  });

  test("counts an empty snapshot: a header and the end", async () => {
    const snapshot = makeFiles(tempDir(), {});
    expect((await planArchive(snapshot, NAME)).contentSize).toBe(512 + 1024);
  });

  test("goes by a held descriptor, whatever the path comes to name", async () => {
    const root = tempDir();
    const snapshot = makeFiles(root, { "sub/file": "x" });
    const fd = openSync(snapshot, constants.O_DIRECTORY);
    try {
      renameSync(snapshot, join(root, "elsewhere"));
      const { members } = await planArchive(`/proc/self/fd/${fd}`, NAME);
      expect(members.map(({ path }) => path)).toEqual(["", "sub", "sub/file"]);
    } finally {
      closeSync(fd);
    }
  });

  test("leaves out links, pipes and sockets, and follows none", async () => {
    const root = tempDir();
    const snapshot = makeFiles(root, { "block/meta.json": "{}" });
    makeFiles(root, { secret: "" }, "outside");
    symlinkSync("../outside", join(snapshot, "block.link"));
    symlinkSync("nowhere", join(snapshot, "dangling"));
    Bun.spawnSync(["mkfifo", join(snapshot, "block/pipe")]);
    const server = Bun.listen({ unix: join(snapshot, "socket"), socket: { data() {} } });
    try {
      const plan = await planArchive(snapshot, NAME);
      expect(plan.members.map(({ path }) => path)).toEqual(["", "block", "block/meta.json"]);
      expect(plan.leftOut).toEqual([
        `${NAME}/block/pipe is a named pipe`,
        `${NAME}/block.link is a symbolic link`,
        `${NAME}/dangling is a symbolic link`,
        `${NAME}/socket is a socket`,
      ]);
    } finally {
      server.stop(true);
    }
  });

  test("doesn't follow a link in place of the snapshot", async () => {
    const root = tempDir();
    makeFiles(root, { file: "" }, "real");
    symlinkSync("real", join(root, NAME));
    await expect(planArchive(join(root, NAME), NAME)).rejects.toThrow(NAME);
  });

  test("fails by the snapshot's name, not its place", async () => {
    const root = tempDir();
    const failed = planArchive(join(root, "gone"), NAME);
    await expect(failed).rejects.toThrow(`${NAME}: it vanished`);
  });

  test("fails at a name that is not UTF-8, and shows it", async () => {
    const root = tempDir();
    const snapshot = makeFiles(root, { "block/ok": "" });
    const bad = Buffer.concat([Buffer.from(`${snapshot}/block/x`), Buffer.from([0xff, 0x0a])]);
    writeFileSync(bad, "");
    const failed = planArchive(snapshot, NAME);
    await expect(failed).rejects.toThrow(
      `${NAME}/block holds a file whose name is not UTF-8 (as Latin-1: "xÿ\\n"): remove it`,
    );
    await allClosed(root);
  });

  test("goes deep with the descriptors that it has, and closes them", async () => {
    const root = tempDir();
    const snapshot = makeFiles(root, {});
    mkdirSync(join(snapshot, "d/".repeat(200)), { recursive: true });
    expect((await planArchive(snapshot, NAME)).members.length).toBe(201);
    await allClosed(root);
  });
});
