import { expect, test } from "bun:test";
import { allocate, free, LARGEST_PIECE } from "../../../src/archive/buffers.ts";
import { NAME } from "../../e2e/support.ts";
import { makeApp, NETWORK } from "./app.ts";

/** The buffers that the next who asks get. */
function spareBuffers(): Set<ArrayBufferLike> {
  const spares = Array.from({ length: 8 }, () => allocate(LARGEST_PIECE));
  const buffers = new Set<ArrayBufferLike>(spares.map(({ buffer }) => buffer));
  spares.forEach(free);
  return buffers;
}

test.each(["tar", "tgz", "tzst"])("a client that leaves a %s leaves no memory", async (format) => {
  const app = makeApp();
  const url = `http://localhost/api/download?name=${NAME}&format=${format}`;
  const response = await app.fetch(new Request(url), NETWORK);
  expect(response.status).toBe(200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let sent: ArrayBufferLike = new ArrayBuffer(0);
  for (let read = 0; sent.byteLength !== LARGEST_PIECE && read < 20; read++) {
    sent = (await reader.read()).value?.buffer ?? sent;
  }
  expect(sent.byteLength).toBe(LARGEST_PIECE);
  await reader.cancel();
  // Either somebody gets it next, or there were spares enough. Who waits in vain meets the time limit.
  while (sent.byteLength > 0 && !spareBuffers().has(sent)) await Bun.sleep(5);
});
