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
  // The first byte goes at once, each further one has the next wait a second longer.
  const app = makeApp({ limitRate: 1 });
  const download = (init?: RequestInit) => app.fetch(new Request(DOWNLOAD, init), NETWORK);
  const first = await download();
  const others = [download(), download(), download()];
  // All of them wait by then, two for longer.
  await Promise.race(others);
  const leaving = new AbortController();
  // The last of them for some seconds yet when the others have had their turn.
  const leavers = Array.from({ length: 3 }, () => download({ signal: leaving.signal }));
  await Promise.all(others);
  leaving.abort();
  expect((await leavers.at(-1))?.status).toBe(500);
  expect(await ends(app)).toContain("the client closed the connection");
  for (const { body } of await Promise.all([first, ...others, ...leavers])) await body?.cancel();
});
