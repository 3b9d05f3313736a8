import { expect, test } from "bun:test";
import { allocate, free, LARGEST_CHUNK } from "../../../src/archive/buffers.ts";
import { ALL_RIGHTS } from "../../../src/http/access/rights.ts";
import { App } from "../../../src/http/app.ts";
import { DEFAULT_HISTORY } from "../../../src/status/history.ts";
import { State } from "../../../src/status/state.ts";
import { WORKER_URL } from "../../archive/write-support.ts";
import { NAME, snapshotDir } from "../../e2e/support.ts";
import { atEnd } from "../../support/at-end.ts";

/** A connection of the network, where a piece is copied before the next one is asked for. */
const NETWORK = {
  peer: "192.0.2.1",
  rights: ALL_RIGHTS,
  holdOpen: () => {},
  unsent: () => 0,
  copies: true,
  reset: () => true,
};

const quiet = { info() {}, warn() {}, error() {} };

function makeApp(): App {
  const settings = {
    prometheusEndpoint: new URL("http://127.0.0.1:1"),
    prometheusHttp: undefined,
    snapshotDir: snapshotDir(5_000_000, "random"),
    snapshotTimeout: 1000,
    maxDownloads: 1,
    stallTimeout: 60_000,
    compression: { workerUrl: WORKER_URL, threads: 1 },
    limitRate: undefined,
    checkWorkerUrl: undefined,
  };
  const app = new App(settings, State.open(undefined, DEFAULT_HISTORY, quiet), quiet);
  atEnd(() => app.close());
  return app;
}

/** The buffers that the next who asks get. */
function spareBuffers(): Set<ArrayBufferLike> {
  const spares = Array.from({ length: 8 }, () => allocate(LARGEST_CHUNK));
  const buffers = new Set<ArrayBufferLike>(spares.map(({ buffer }) => buffer));
  spares.forEach(free);
  return buffers;
}

test.each(["tar", "tgz", "tzst"])(
  "a client that leaves a %s leaves no memory",
  async (format) => {
    const app = makeApp();
    const url = `http://localhost/api/download?name=${NAME}&format=${format}`;
    const response = await app.fetch(new Request(url), NETWORK);
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let sent: ArrayBufferLike = new ArrayBuffer(0);
    for (let read = 0; sent.byteLength !== LARGEST_CHUNK && read < 20; read++) {
      sent = (await reader.read()).value?.buffer ?? sent;
    }
    expect(sent.byteLength).toBe(LARGEST_CHUNK);
    await reader.cancel();
    // Either somebody gets it next, or there were spares enough. Who waits in vain meets the time limit.
    while (sent.byteLength > 0 && !spareBuffers().has(sent)) await Bun.sleep(5);
  },
  10_000,
);
