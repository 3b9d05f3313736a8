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
  const app = makeApp({ limitRate: 1000 });
  // Each has the next wait a tenth of a second longer.
  const others = Array.from({ length: 18 }, () => app.fetch(new Request(DOWNLOAD), NETWORK));
  const leaving = new AbortController();
  const last = app.fetch(new Request(DOWNLOAD, { signal: leaving.signal }), NETWORK);
  // It is prepared by then, and the last to have its turn.
  await others[5];
  leaving.abort();
  expect((await last).status).toBe(500);
  expect(await ends(app)).toContain("the client closed the connection");
  for (const { body } of await Promise.all(others)) await body?.cancel();
});
