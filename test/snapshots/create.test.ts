import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { QueueFull, SnapshotCreator } from "../../src/snapshots/create.ts";
import { InvalidSnapshotName } from "../../src/snapshots/errors.ts";
import { Leases } from "../../src/snapshots/lease.ts";
import { pruneSnapshots } from "../../src/snapshots/prune.ts";
import {
  bunCommand,
  makeBlock,
  makeSnapshot,
  names,
  snapshotDirectory,
  start,
  ulid,
} from "./support.ts";

const opened: Leases[] = [];
afterEach(() => {
  for (const leases of opened.splice(0)) leases.close();
});

interface Call {
  readonly skipHead: boolean;
  readonly signal: AbortSignal;
  answer(name: string): void;
  fail(error: unknown): void;
}

/** A creator with a Prometheus that answers when the test says so. */
function creatorWith(options: { timeLimit?: number; queueLength?: number } = {}) {
  const snapshotDir = snapshotDirectory();
  const leases = new Leases(snapshotDir);
  opened.push(leases);
  const calls: Call[] = [];
  const creator = new SnapshotCreator({
    ask: (skipHead, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      calls.push({ skipHead, signal, answer: resolve, fail: reject });
      return promise;
    },
    snapshotDir,
    leases,
    timeLimit: options.timeLimit ?? 60_000,
    queueLength: options.queueLength ?? 8,
  });
  /** Waits until Prometheus was asked so often, and returns the last call. */
  async function asked(times: number): Promise<Call> {
    for (let turn = 0; calls.length < times && turn < 20_000; turn++) await Bun.sleep(0);
    const call = calls[times - 1];
    if (call === undefined || calls.length > times) throw new Error(`${calls.length} calls`);
    return call;
  }
  /** Answers the last call by a snapshot that is there. */
  async function make(times: number, name: string): Promise<void> {
    const call = await asked(times);
    makeSnapshot(snapshotDir, name);
    call.answer(name);
  }
  return { snapshotDir, creator, calls, asked, make };
}

/** A client that stays. */
function client(): AbortSignal {
  return new AbortController().signal;
}

/** Gives everything that could happen by now the time to happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Bun.sleep(0);
}

test("the new snapshot's name is returned, and prune leaves it alone", async () => {
  const { creator, make, asked, snapshotDir } = creatorWith();
  const created = creator.create(true, client());
  expect((await asked(1)).skipHead).toBe(true);
  await make(1, "20260101T000000Z-a");
  expect(await created).toBe("20260101T000000Z-a");
  const { kept } = await pruneSnapshots(snapshotDir, { keepWithin: 0 });
  expect(kept).toEqual([{ name: "20260101T000000Z-a", reason: "in use" }]);
});

test("one at a time, in the order of the requests", async () => {
  const { creator, make, calls } = creatorWith();
  const done: string[] = [];
  const all = [1, 2, 3].map(async () => done.push(await creator.create(false, client())));
  for (const number of [1, 2, 3]) {
    await make(number, `aaa-${number}`);
    expect(calls).toHaveLength(number);
  }
  await Promise.all(all);
  expect(done).toEqual(["aaa-1", "aaa-2", "aaa-3"]);
});

test("beyond the queue's length, a request is refused at once", async () => {
  const { creator, make } = creatorWith({ queueLength: 2 });
  const accepted = [1, 2, 3].map(() => creator.create(false, client()));
  const refused = creator.create(false, client());
  await expect(refused).rejects.toThrow(QueueFull);
  await expect(refused).rejects.toThrow("2 requests wait already");
  await make(1, "aaa-1");
  expect(await accepted[0]).toBe("aaa-1");
  accepted.push(creator.create(false, client()));
  for (const number of [2, 3, 4]) await make(number, `aaa-${number}`);
  expect(await Promise.all(accepted)).toEqual(["aaa-1", "aaa-2", "aaa-3", "aaa-4"]);
});

test("a queue of no length takes one request at a time", async () => {
  const { creator, make } = creatorWith({ queueLength: 0 });
  const first = creator.create(false, client());
  await expect(creator.create(false, client())).rejects.toThrow(QueueFull);
  await make(1, "aaa-1");
  await first;
  const second = creator.create(false, client());
  await make(2, "aaa-2");
  expect(await second).toBe("aaa-2");
});

describe("a client that leaves", () => {
  test("while it waits, gives its place to the next, and Prometheus isn't asked for it", async () => {
    const { creator, make, calls } = creatorWith({ queueLength: 1 });
    const first = creator.create(false, client());
    const leaving = new AbortController();
    const second = creator.create(false, leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(second).rejects.toThrow("gone");
    const third = creator.create(true, client());
    await make(1, "aaa-1");
    await first;
    await make(2, "aaa-2");
    expect(await third).toBe("aaa-2");
    expect(calls.map((call) => call.skipHead)).toEqual([false, true]);
  });

  test("before it is heard, costs nothing", async () => {
    const { creator, calls } = creatorWith();
    await expect(creator.create(false, AbortSignal.abort(new Error("gone")))).rejects.toThrow();
    await settle();
    expect(calls).toEqual([]);
  });

  test("while Prometheus works, leaves a snapshot that is leased as any other", async () => {
    const { creator, make, asked, calls, snapshotDir } = creatorWith();
    const leaving = new AbortController();
    const first = creator.create(false, leaving.signal);
    const second = creator.create(false, client());
    const call = await asked(1);
    leaving.abort(new Error("gone"));
    await settle();
    expect(call.signal.aborted).toBe(false);
    expect(calls).toHaveLength(1);
    await make(1, "20260101T000000Z-a");
    await first;
    const { kept } = await pruneSnapshots(snapshotDir, { keepWithin: 0 });
    expect(kept).toHaveLength(1);
    await make(2, "20260101T000000Z-b");
    expect(await second).toBe("20260101T000000Z-b");
  });
});

test("beyond the time limit the request fails, and the next has its turn", async () => {
  const { creator, make, asked, snapshotDir } = creatorWith({ timeLimit: 50 });
  const first = creator.create(false, client());
  const call = await asked(1);
  await expect(first).rejects.toThrow("Prometheus did not finish the snapshot within 50ms");
  expect(call.signal.aborted).toBe(true);
  const second = creator.create(false, client());
  await make(2, "aaa-2");
  expect(await second).toBe("aaa-2");
  // What Prometheus says too late concerns nobody.
  call.fail(new Error("too late"));
  await settle();
  expect(names(snapshotDir)).toEqual(["aaa-2"]);
});

test("what Prometheus says is passed on, and the next has its turn", async () => {
  const { creator, make, asked } = creatorWith();
  const first = creator.create(false, client());
  const second = creator.create(false, client());
  (await asked(1)).fail(new Error("admin APIs disabled"));
  await expect(first).rejects.toThrow("admin APIs disabled");
  await make(2, "aaa-2");
  expect(await second).toBe("aaa-2");
});

describe("a snapshot that the snapshot directory doesn't hold", () => {
  test.each(["nothing", "link", "no directory"])("%s", async (kind) => {
    const { creator, asked, snapshotDir } = creatorWith();
    const created = creator.create(false, client());
    const call = await asked(1);
    const directory = kind === "no directory" ? snapshotDir.replace(/$/, "-moved") : snapshotDir;
    if (kind === "link") {
      mkdirSync(join(directory, "real"));
      symlinkSync("real", join(directory, "aaa-1"));
    }
    if (kind === "no directory") Bun.spawnSync(["mv", snapshotDir, directory]);
    call.answer("aaa-1");
    await expect(created).rejects.toThrow(
      `Prometheus made the snapshot aaa-1, but ${snapshotDir} doesn't hold it: --snapshot-dir must ` +
        'be the "snapshots" folder of this Prometheus\'s own data directory (its ' +
        "--storage.tsdb.path; in a container, the same volume). The snapshot stays there: remove it " +
        "by hand, rm -r snapshots/aaa-1 in that directory",
    );
  });
});

test("a name that isn't one is refused as such", async () => {
  const { creator, asked } = creatorWith();
  const created = creator.create(false, client());
  (await asked(1)).answer("../outside");
  await expect(created).rejects.toThrow(InvalidSnapshotName);
});

test("prunes in another process never take blocks from a snapshot that is being made", async () => {
  const { creator, asked, snapshotDir } = creatorWith();
  const pruning = `
    import { pruneSnapshots } from "SOURCES/snapshots/prune.ts";
    console.log("ready");
    for (const end = performance.now() + 60_000; performance.now() < end; ) {
      const { failed } = await pruneSnapshots(ARGS[0], { keepWithin: 0 });
      if (failed.length > 0) throw new Error(JSON.stringify(failed));
    }`;
  const other = start(bunCommand(pruning, snapshotDir));
  expect(await other.line()).toBe("ready");
  for (let round = 1; round <= 10; round++) {
    const created = creator.create(false, client());
    const call = await asked(round);
    const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "");
    const path = makeSnapshot(snapshotDir, `${stamp}Z-${round}`, 0);
    for (let block = 0; block < 20; block++) {
      makeBlock(path, { ulid: ulid(block) });
      await Bun.sleep(1);
    }
    call.answer(`${stamp}Z-${round}`);
    await created;
    expect(names(path)).toHaveLength(20);
  }
  await other.kill();
});
