import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { tempDir } from "../../support/temp.ts";
import {
  allClosed,
  archiveOf,
  failure,
  MIB,
  makeCompressor,
  makeFiles,
  noise,
  startArchive,
  WORKER_URL,
} from "../write-support.ts";

setDefaultTimeout(120_000);

/** A worker's file with this code in it. */
function makeWorker(code: string): URL {
  const file = join(tempDir(), "worker.ts");
  writeFileSync(file, code);
  return pathToFileURL(file);
}

function makeSnapshot(): string {
  return makeFiles(tempDir(), { "b/chunks/000001": noise(5 * MIB), "b/meta.json": "{}" });
}

describe("a download fails with the cause when its worker", () => {
  const broken = "Failure: the compression worker failed: ";
  const workers: [string, string | URL | (() => URL), string][] = [
    ["is missing", "file:///nowhere/worker.ts", broken],
    ["can't be loaded", () => makeWorker("throw new Error('bad worker')"), `${broken}.*bad worker`],
    ["is not TypeScript", () => makeWorker("}{"), broken],
    [
      "throws at a job",
      () => makeWorker("self.onmessage = () => { throw new Error('bad day') }"),
      `${broken}.*bad day`,
    ],
    [
      "ends",
      () => makeWorker("self.onmessage = () => process.exit(3)"),
      `${broken}it ended unexpectedly`,
    ],
    [
      "answers with an error",
      () =>
        makeWorker(
          "self.onmessage = ({ data: { slot } }) => { if (slot !== undefined) self.postMessage({ error: 'no memory' }) }",
        ),
      "Failure: compressing failed: no memory",
    ],
  ];

  test.each(workers)("%s", async (_, worker, message) => {
    const workerUrl = typeof worker === "function" ? worker() : worker;
    const snapshot = makeSnapshot();
    const compressor = makeCompressor({ workerUrl });
    const both = await Promise.all([
      startArchive(snapshot, "tgz", compressor).then(failure),
      startArchive(snapshot, "tgz", compressor).then(failure),
    ]);
    for (const { message: told } of both) expect(told).toMatch(new RegExp(`^${message}`));
    await allClosed(snapshot);
  });
});

test("after a worker broke, the next download has new ones", async () => {
  const mark = join(tempDir(), "break");
  writeFileSync(mark, "");
  const workerUrl = makeWorker(`
    import { existsSync } from "node:fs";
    import "${WORKER_URL}";
    if (existsSync("${mark}")) process.exit(1);
  `);
  const snapshot = makeSnapshot();
  const compressor = makeCompressor({ workerUrl });
  const { message } = await failure(await startArchive(snapshot, "tgz", compressor));
  expect(message).toStartWith("Failure: the compression worker failed");
  rmSync(mark);
  const whole = await archiveOf(snapshot, "tgz", makeCompressor());
  expect(Buffer.compare(await archiveOf(snapshot, "tgz", compressor), whole)).toBe(0);
});

describe("close", () => {
  test("fails a download whose worker never answers", async () => {
    const workerUrl = makeWorker("self.onmessage = () => {}");
    const compressor = makeCompressor({ workerUrl });
    const failed = failure(await startArchive(makeSnapshot(), "tgz", compressor));
    // Two blocks are at work, the third waits for one.
    await new Promise((resolve) => setImmediate(resolve));
    compressor.close();
    expect((await failed).message).toBe("Failure: the compressor was closed");
  });

  test.each(["tgz", "tzst"] as const)("fails a %s that runs or begins", async (format) => {
    const compressor = makeCompressor();
    const snapshot = makeSnapshot();
    const archive = await startArchive(snapshot, format, compressor);
    await archive.next();
    compressor.close();
    compressor.close();
    const message = "Failure: the compressor was closed";
    expect((await failure(archive)).message).toBe(message);
    expect((await failure(await startArchive(snapshot, format, compressor))).message).toBe(message);
    await allClosed(snapshot);
  });

  test("leaves a tar alone", async () => {
    const compressor = makeCompressor();
    const archive = await startArchive(makeSnapshot(), "tar", compressor);
    compressor.close();
    expect((await Array.fromAsync(archive)).length).toBeGreaterThan(5);
  });
});
