import { expect, test } from "bun:test";
import {
  cpSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { findPrometheus } from "../../scripts/prometheus.ts";
import { startPrometheus as startPlain } from "../../scripts/run-prometheus.ts";
import { tryFlock } from "../../src/lib/files/flock.ts";
import { examineDataDir } from "../../src/restore/data-dir.ts";
import { usersOf } from "../../src/restore/in-use.ts";
import { archiveOf, blockNames, changeMeta, listing, restore } from "../restore/support.ts";
import { atEnd } from "../support/at-end.ts";
import { cleanEnvironment, commandLine, run } from "../support/programs.ts";
import { makeBlocks, startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { writeBlock } from "../tsdb/support/block-writer.ts";
import { chunkVectors } from "../tsdb/support/blocks.ts";
import { floatChunk } from "../tsdb/support/float-chunk.ts";

needs("prometheus", "promtool", "tar");
const isRoot = process.geteuid?.() === 0;
const HOUR = 3_600_000;

const made = (await makeBlocks({ hours: 6, series: 2 })).dataDir;
const archive = archiveOf(made);
const [oldest = "", , newest = ""] = blockNames(made);

/** A data directory that holds something, and a check that it is as it was. */
function occupied() {
  const target = join(tempDir(), "data");
  mkdirSync(join(target, "wal"), { recursive: true });
  writeFileSync(join(target, "wal", "00000000"), "");
  const before = listing(target);
  const requireUntouched = () => {
    expect(listing(target)).toEqual(before);
    expect(readdirSync(dirname(target))).toEqual(["data"]);
  };
  return { target, requireUntouched };
}

function fresh(): string {
  return join(tempDir(), "data");
}

async function refused(...args: string[]): Promise<string> {
  const { status, stderr } = await restore(...args);
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^prombackup: refused: /m)]);
  return stderr;
}

test("a Prometheus that runs on the directory is found by its open files, and at its endpoint", async () => {
  const running = await startPrometheus({ dataDir: join(tempDir(), "data") });
  const target = running.dataDir;
  const blocks = listing(target);
  const stderr = await refused(archive, "--data-dir", target, "--replace");
  expect(stderr).toContain(`prometheus (process ${running.pid}) has ${target}/`);
  expect(stderr).toContain("stop it first");
  await refused(archive, "--data-dir", target, "--merge");
  const asked = await restore(
    ...[archive, "--data-dir", target, "--replace", "--dry-run"],
    ...["--prometheus-endpoint", running.url],
  );
  expect(asked.stdout).toContain(
    `warning: Prometheus at ${running.url}/ runs on ${target}: stop it first`,
  );
  // Prometheus itself goes on writing there.
  const isOwn = (name: string) => /^(wal|wbl|chunks_head)\//.test(name);
  const added = Object.keys(listing(target)).filter((name) => !(name in blocks) && !isOwn(name));
  expect(added).toEqual([]);
  await running.stop();
  expect((await restore(archive, "--data-dir", target, "--replace")).status).toBe(0);
});

test("Prometheus's lock is respected, where the process that holds it doesn't show", async () => {
  const { target, requireUntouched } = occupied();
  const file = join(target, "lock");
  const fd = openSync(file, "w");
  expect(usersOf(examineDataDir(target))).toEqual([]);
  expect(tryFlock(fd, "exclusive")).toBe(true);
  expect(usersOf(examineDataDir(target))).toEqual([`somebody holds the lock ${file}`]);
  expect(await refused(archive, "--data-dir", target, "--replace")).toContain("is in use");
  expect(readdirSync(dirname(target))).toEqual(["data"]);
  expect(requireUntouched).toThrow();
});

test.skipIf(!isRoot || !needs("unshare"))(
  "a process that has the files under another path, as in a container, is found",
  async () => {
    const { target, requireUntouched } = occupied();
    const mnt = tempDir();
    const script = 'mount --bind "$0" "$1" && exec sleep infinity <"$1/wal/00000000"';
    const child = Bun.spawn(["unshare", "--mount", "sh", "-c", script, target, mnt]);
    atEnd(() => child.kill());
    const isOpen = () => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "sleep\n";
    while (!isOpen()) await Bun.sleep(5);
    const stderr = await refused(archive, "--data-dir", target, "--replace");
    expect(stderr).toContain(`sleep (process ${child.pid}) has ${target}/wal/00000000 open`);
    requireUntouched();
  },
);

test("a directory that isn't empty is left alone", async () => {
  const { target, requireUntouched } = occupied();
  const stderr = await refused(archive, "--data-dir", target);
  expect(stderr).toMatch(/is not empty: it holds 1 entry \(0 blocks\): --replace .*--merge /);
  requireUntouched();
});

test("retention that would delete blocks refuses, by the flag and by Prometheus's own settings", async () => {
  const target = fresh();
  const told = await refused(archive, "--data-dir", target, "--retention", "4h");
  expect(told).toContain(oldest);
  expect(told).toContain("raise --storage.tsdb.retention.time first");
  const bySize = await refused(archive, "--data-dir", target, "--retention", "10y,8KB");
  expect(bySize).toContain("raise --storage.tsdb.retention.size first");
  const accepted = await restore(
    ...[archive, "--data-dir", target, "--retention", "4h", "--accept-retention-loss"],
  );
  expect([accepted.status, accepted.stdout]).toEqual([
    0,
    expect.stringContaining("will be deleted"),
  ]);

  for (const [limit, args] of [
    ["time", ["--storage.tsdb.retention.time=4h"]],
    // Prometheus tells it as 9KiB512B.
    ["size", ["--storage.tsdb.retention.time=10y", "--storage.tsdb.retention.size=9728B"]],
  ] as const) {
    const program = findPrometheus("prometheus") ?? "";
    const running = await startPlain({ program, directory: tempDir(), args });
    atEnd(() => running.stop());
    const asked = await restore(
      ...[archive, "--data-dir", fresh(), "--dry-run", "--prometheus-endpoint", running.url],
    );
    expect([asked.status, asked.stderr]).toEqual([
      1,
      expect.stringContaining(`raise --storage.tsdb.retention.${limit} on its command line first`),
    ]);
  }
  const unknown = await restore(
    archiveOf(made, (snapshot) => {
      changeMeta(join(snapshot, oldest), (meta) => {
        meta.minTime -= 20 * 24 * HOUR;
        meta.maxTime = meta.minTime + HOUR;
      });
    }),
    "--data-dir",
    fresh(),
    "--dry-run",
  );
  expect([unknown.status, unknown.stdout]).toEqual([
    0,
    expect.stringContaining(
      "warning: Prometheus's retention is not known here: with its default of 15d",
    ),
  ]);
});

test("a block of the future refuses, or is left out", async () => {
  const future = archiveOf(made, (snapshot) => {
    changeMeta(join(snapshot, newest), (meta) => {
      meta.maxTime += 1000 * HOUR;
    });
  });
  const target = fresh();
  const stderr = await refused(future, "--data-dir", target);
  expect(stderr).toContain(`block ${newest} reaches to`);
  expect((await restore(future, "--data-dir", target, "--skip-future-blocks")).status).toBe(0);
  expect(blockNames(target)).toEqual(blockNames(made).filter((name) => name !== newest));
});

test.skipIf(!isRoot || !needs("unshare"))(
  "too little space refuses before anything is written",
  async () => {
    const parent = tempDir();
    const script =
      'mount -t tmpfs -o size=16k none "$0" && "$@"; status=$?; ls -A "$0"; exit $status';
    const command = commandLine("prombackup", [
      "restore",
      archive,
      "--data-dir",
      join(parent, "data"),
    ]);
    const child = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script, parent, ...command], {
      env: cleanEnvironment(),
    });
    expect([child.exitCode, child.stderr.toString()]).toEqual([
      1,
      expect.stringMatching(
        /refused: too little space for .*: .* are needed and 16.0 KiB are free/,
      ),
    ]);
    expect(child.stdout.toString()).toEndWith("\n");
    // From standard input the size isn't known before.
    const piped = commandLine("prombackup", ["restore", "-", "--data-dir", join(parent, "data")]);
    const full = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script, parent, ...piped], {
      env: cleanEnvironment(),
      stdin: readFileSync(archive),
    });
    expect([full.exitCode, full.stdout.toString(), full.stderr.toString()]).toEqual([
      1,
      "",
      expect.stringMatching(/no space left/i),
    ]);
  },
);

test("encodings that an older Prometheus can't read refuse, if its version is known", async () => {
  const vector = chunkVectors().find(({ encoding }) => encoding === 4);
  if (vector === undefined) throw new Error("no chunk of encoding 4");
  const { data, first, last } = vector;
  const chunks = [{ encoding: 4, data, first, last }, ...[floatChunk([last + 1])]];
  const { name, files } = writeBlock({ series: [{ labels: [["a", "b"]], chunks }] });
  const directory = tempDir();
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(directory, name, path)), { recursive: true });
    writeFileSync(join(directory, name, path), bytes);
  }
  const xor2 = archiveOf(directory);
  const target = fresh();
  const stderr = await refused(xor2, "--data-dir", target, "--prometheus-version", "3.5.0");
  expect(stderr).toContain(
    `block ${name} has chunks of the encoding XOR2, which Prometheus reads since 3.11`,
  );
  expect(readdirSync(dirname(target))).toEqual([]);
  const unknown = await restore(xor2, "--data-dir", target);
  expect([unknown.status, unknown.stderr]).toEqual([
    0,
    expect.stringContaining("it takes Prometheus 3.11 or newer"),
  ]);
  expect((await restore(xor2, "--data-dir", fresh(), "--prometheus-version", "3.11")).status).toBe(
    0,
  );
});

test("damage stops a restore; left out, it is told what is lost", async () => {
  const damaged = archiveOf(made, (snapshot) => {
    const segment = join(snapshot, oldest, "chunks", "000001");
    const bytes = readFileSync(segment);
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
    writeFileSync(segment, bytes);
  });
  const { target, requireUntouched } = occupied();
  const stopped = await restore(damaged, "--data-dir", target, "--replace");
  expect([stopped.status, stopped.stderr]).toEqual([
    3,
    expect.stringMatching(
      new RegExp(
        `block ${oldest} is damaged: chunks/000001, offset \\d+: .* --skip-damaged, which loses 960 samples of 4 series, from `,
      ),
    ),
  ]);
  requireUntouched();
  const skipped = await restore(damaged, "--data-dir", target, "--replace", "--skip-damaged");
  expect([skipped.status, skipped.stderr]).toEqual([
    0,
    expect.stringMatching(
      /is left out, it is damaged: .*; lost are 960 samples of 4 series, from /,
    ),
  ]);
  const sound = blockNames(made).slice(1);
  expect(blockNames(target)).toEqual(sound);
  // What looks for the restored blocks later doesn't miss the one that was left out.
  const named = sound.map((block) => ` --block ${block}`).join("");
  expect(skipped.stderr).toContain(`--data-dir ${target}${named} --prometheus-endpoint`);
});

test("a block of which an archive has the directory alone stops a restore; left out, it is told", async () => {
  const empty = "01M00000000000000000000000";
  const lacking = archiveOf(made, (snapshot) => mkdirSync(join(snapshot, empty)));
  for (const input of [lacking, "-"]) {
    const stdin = Bun.file(input === "-" ? lacking : "/dev/null");
    const args = ["restore", input, "--data-dir", fresh()];
    const stopped = await run("prombackup", args, { stdin });
    expect([stopped.status, stopped.stderr]).toEqual([3, expect.stringContaining(empty)]);
    const target = fresh();
    const skipping = ["restore", input, "--data-dir", target, "--skip-damaged"];
    const skipped = await run("prombackup", skipping, { stdin });
    expect([skipped.status, `${skipped.stdout}${skipped.stderr}`]).toEqual([
      0,
      expect.stringContaining(empty),
    ]);
    expect(blockNames(target)).toEqual(blockNames(made));
  }
});

test.skipIf(!isRoot)(
  "files belong to the owner of the directory, of its parent, or to whom --owner names",
  async () => {
    const { target } = occupied();
    Bun.spawnSync(["chown", "-R", "12345:23456", target]);
    Bun.spawnSync(["chmod", "2750", target]);
    await restore(archive, "--data-dir", target, "--replace");
    const of = (path: string) => {
      const { uid, gid, mode } = lstatSync(path);
      return [uid, gid, (mode & 0o7777).toString(8)];
    };
    expect(of(target)).toEqual([12345, 23456, "2750"]);
    expect(of(join(target, oldest, "chunks"))).toEqual([12345, 23456, "2750"]);
    expect(of(join(target, oldest, "chunks", "000001"))).toEqual([12345, 23456, "640"]);
    const named = fresh();
    await restore(archive, "--data-dir", named, "--owner", "nobody");
    expect(of(join(named, oldest, "index"))[0]).toBe(65534);
    const unknown = await restore(archive, "--data-dir", fresh(), "--owner", "no-such-user");
    expect([unknown.status, unknown.stderr]).toEqual([
      2,
      expect.stringContaining("give the number"),
    ]);
  },
);

test("a symbolic link stays, and its target is replaced", async () => {
  const { target } = occupied();
  const link = join(dirname(target), "link");
  symlinkSync("data", link);
  expect((await restore(archive, "--data-dir", link, "--replace")).status).toBe(0);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(blockNames(target)).toEqual(blockNames(made));
});

test.skipIf(!needs("flock"))("two restores into one directory don't meet", async () => {
  const target = fresh();
  const staging = join(dirname(target), ".data.prombackup-restore");
  mkdirSync(staging);
  const holder = Bun.spawn(["flock", staging, "sh", "-c", "echo held; read _"], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await holder.stdout.getReader().read();
  const { status, stderr } = await restore(archive, "--data-dir", target);
  expect([status, stderr]).toEqual([
    1,
    expect.stringContaining("another prombackup restore is at work"),
  ]);
  holder.stdin.end();
  await holder.exited;
});

test.each(["--merge", "--replace"])(
  "two restores that plan at once with %s: the slower one changes nothing, and says why",
  async (mode) => {
    const { target } = occupied();
    const { url } = await startPrometheus();
    // Each asks over a path of its own; the slower one is answered when the other has ended, which
    // has begun by then: it waits for ten seconds at the most.
    const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const proxy = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        const path = new URL(request.url).pathname;
        if (path.startsWith("/slow/")) {
          asked.resolve();
          await goOn.promise;
        } else await asked.promise;
        const answer = await fetch(url + path.replace(/^\/(slow|fast)/, ""));
        return new Response(await answer.blob(), { status: answer.status });
      },
    });
    atEnd(() => proxy.stop(true));
    const via = (path: string) => {
      const args = ["--data-dir", target, mode, "--retention", "10y", "--wait", "0"];
      return restore(archive, ...args, "--prometheus-endpoint", `${proxy.url}${path}/`);
    };
    const [slow, fast] = [via("slow"), via("fast")];
    expect((await fast).status).toBe(0);
    const after = listing(dirname(target));
    goOn.resolve();
    const { status, stderr } = await slow;
    expect([status, stderr]).toEqual([1, expect.stringContaining("another restore")]);
    expect(stderr).toContain(
      "this one has changed nothing: wait for the other's end, and restore again",
    );
    expect(listing(dirname(target))).toEqual(after);
    // Again, it finds what the other one has restored.
    expect((await via("fast")).status).toBe(0);
  },
);

test("an interrupted restore leaves nothing behind", async () => {
  const { target, requireUntouched } = occupied();
  const child = Bun.spawn(
    commandLine("prombackup", ["restore", "-", "--data-dir", target, "--replace"]),
    {
      env: cleanEnvironment(),
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  child.stdin.write(readFileSync(archive).subarray(0, 20_000));
  child.stdin.flush();
  while (!readdirSync(dirname(target)).includes(".data.prombackup-restore")) await Bun.sleep(5);
  child.kill("SIGTERM");
  // It notices with the next bytes.
  child.stdin.write(readFileSync(archive).subarray(20_000));
  child.stdin.end();
  expect(await child.exited).toBe(143);
  requireUntouched();
});

test("the parent of a data directory, given in its place, is left alone", async () => {
  const { target } = occupied();
  const before = listing(target);
  for (const how of [[], ["--replace"], ["--merge"], ["--block", oldest]]) {
    const told = await refused(archive, "--data-dir", dirname(target), ...how);
    expect(told).toContain(`${target} has: say --data-dir ${target}`);
  }
  const piped = await run(
    "prombackup",
    ["restore", "-", "--data-dir", dirname(target), "--merge"],
    {
      stdin: readFileSync(archive),
    },
  );
  expect([piped.status, piped.stderr]).toEqual([1, expect.stringContaining("say --data-dir")]);
  expect(listing(target)).toEqual(before);
});

test("the parent of a data directory that was just restored is left alone, too", async () => {
  const { target } = occupied();
  expect((await restore(archive, "--data-dir", target, "--replace")).status).toBe(0);
  expect(readdirSync(dirname(target))).toHaveLength(2);
  const told = await refused(archive, "--data-dir", dirname(target), "--replace");
  expect(told).toContain(`${target} has: say --data-dir ${target},`);
});

test("the command that is told for later takes an archive whose name begins with a dash", async () => {
  const directory = tempDir();
  cpSync(archive, join(directory, "-x.tar"));
  const args = ["restore", "--data-dir", fresh(), "--", "-x.tar"];
  const { stderr } = await run("prombackup", args, { cwd: directory });
  expect(stderr).toContain("and then: prombackup restore ./-x.tar --data-dir");
});

test("an archive in the directory that would be moved aside is left where it is", async () => {
  const { target } = occupied();
  cpSync(archive, join(target, "backup.tar"));
  const link = join(tempDir(), "link.tar");
  symlinkSync(join(target, "backup.tar"), link);
  const before = listing(target);
  for (const file of [join(target, "backup.tar"), link]) {
    const told = await refused(file, "--data-dir", target, "--replace");
    expect(told).toContain(`the archive lies in ${target} and would be moved aside with it`);
  }
  expect(listing(target)).toEqual(before);
  expect((await restore(link, "--data-dir", target, "--merge")).status).toBe(0);
});

test("a dry run changes nothing and tells all refusals; --json tells the plan", async () => {
  const { target, requireUntouched } = occupied();
  const args = ["--data-dir", target, "--dry-run", "--json", "--retention", "4h"];
  const { status, stdout } = await restore(archive, ...args);
  const { plan, error } = JSON.parse(stdout);
  expect([status, error]).toEqual([1, expect.stringContaining("(and 1 more, see the plan)")]);
  expect(plan.refusals.map(({ guard }: { guard: string }) => guard)).toEqual([
    "not-empty",
    "retention",
  ]);
  expect(plan.blocks).toHaveLength(3);
  requireUntouched();
  const piped = await run("prombackup", ["restore", "-", ...args], {
    stdin: readFileSync(archive),
  });
  expect(JSON.parse(piped.stdout).plan).toEqual({ ...plan, free_bytes: expect.any(Number) });
});

test("--merge adds what is lacking to what a Prometheus has written since", async () => {
  const target = join(tempDir(), "data");
  const first = await startPrometheus({ dataDir: target });
  await first.stop();
  const [middle = ""] = blockNames(made).slice(1);
  cpSync(join(made, middle), join(target, middle), { recursive: true });
  const before = listing(target);
  const merged = await restore(archive, "--data-dir", target, "--merge");
  expect([merged.status, merged.stdout]).toEqual([
    0,
    expect.stringContaining("not needed: there already"),
  ]);
  expect(listing(target)).toEqual({ ...before, ...listing(made) });
  const again = await restore(archive, "--data-dir", target, "--merge");
  expect([again.status, again.stdout]).toEqual([0, expect.stringContaining("nothing to do")]);
  const undo = /stopped:\n {2}(.*)\n/.exec(merged.stdout)?.[1] ?? "";
  expect(Bun.spawnSync(["sh", "-c", undo]).exitCode).toBe(0);
  const rest = Object.entries(listing(target));
  expect(Object.fromEntries(rest.filter(([path]) => !path.startsWith(".")))).toEqual(before);
  expect(rest.filter(([path]) => /^\.prombackup-undone-[^/]+$/.test(path))).toHaveLength(1);
});

test.skipIf(!isRoot || !needs("unshare"))(
  "what was in a mount point comes back by the line that undoes it",
  async () => {
    const { target, requireUntouched } = occupied();
    const mounted = (...command: string[]) => {
      const script = 'mount --bind "$0" "$0" && exec "$@"';
      return Bun.spawnSync(["unshare", "--mount", "sh", "-c", script, target, ...command], {
        env: cleanEnvironment(),
      });
    };
    const args = ["restore", archive, "--data-dir", target, "--replace"];
    const replaced = mounted(...commandLine("prombackup", args));
    expect(replaced.exitCode).toBe(0);
    expect(blockNames(target)).toEqual(blockNames(made));
    const undo = /stopped:\n {2}(.*)\n/.exec(replaced.stdout.toString())?.[1] ?? "";
    expect(mounted("sh", "-c", undo).exitCode).toBe(0);
    const undone = readdirSync(target).filter((name) => name.startsWith(".prombackup-undone"));
    expect(undone.flatMap((name) => blockNames(join(target, name)))).toEqual(blockNames(made));
    for (const name of readdirSync(target).filter((name) => name.startsWith("."))) {
      rmSync(join(target, name), { recursive: true });
    }
    requireUntouched();
  },
);
