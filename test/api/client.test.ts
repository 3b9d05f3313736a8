import { expect, test } from "bun:test";
import { Client } from "../../src/api/client.ts";

test("an answer to an interrupt is told as the interrupt", async () => {
  const interrupt = new Error("interrupted by SIGINT");
  const aborter = new AbortController();
  const client = new Client(new URL("http://localhost/"), async () => {
    aborter.abort(interrupt);
    return new Response("the client closed the connection", { status: 500 });
  });
  const { signal } = aborter;
  await expect(client.download("x", "tar", signal)).rejects.toBe(interrupt);
});
