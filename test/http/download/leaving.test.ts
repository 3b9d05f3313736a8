import { expect, test } from "bun:test";
import { readDownloads } from "../../../src/api/contract.ts";
import type { App } from "../../../src/http/app.ts";
import { NAME } from "../../e2e/support.ts";
import { makeApp, NETWORK } from "./app.ts";

const DOWNLOAD = `http://localhost/api/download?name=${NAME}`;

async function ends(app: App): Promise<unknown[]> {
  const answer = await app.fetch(new Request("http://localhost/api/downloads"), NETWORK);
  return readDownloads(await answer.json()).map(({ finished }) => finished?.error_text);
}

test("a client that has left before its download is prepared ends it", async () => {
  const app = makeApp();
  const request = new Request(DOWNLOAD, { signal: AbortSignal.abort() });
  expect((await app.fetch(request, NETWORK)).status).toBe(500);
  expect(await ends(app)).toEqual(["the client closed the connection"]);
});

test("a client that leaves while the first bytes wait for their turn ends its download", async () => {
  const app = makeApp({ limitRate: 100_000 });
  const first = await app.fetch(new Request(DOWNLOAD), NETWORK);
  const reader = (first.body as ReadableStream<Uint8Array>).getReader();
  // What may go at once has gone by then.
  for (let i = 0; i < 5; i++) await reader.read();
  const leaving = new AbortController();
  const second = app.fetch(new Request(DOWNLOAD, { signal: leaving.signal }), NETWORK);
  await Bun.sleep(30);
  leaving.abort();
  expect((await second).status).toBe(500);
  expect(await ends(app)).toContain("the client closed the connection");
  await reader.cancel();
});
