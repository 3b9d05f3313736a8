import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Access } from "../../../src/http/access/access.ts";
import { tempDir } from "../../support/temp.ts";

const SILENT = { info() {}, warn() {}, error() {}, debug() {} };

test("a request knows what the file says when it comes, even while the file is looked at", async () => {
  const file = join(tempDir(), "web.yml");
  const hash = await Bun.password.hash("right", { algorithm: "bcrypt", cost: 4 });
  const write = (user: string) => writeFileSync(file, `basic_auth_users: {${user}: ${hash}}\n`);
  write("user");
  const access = await Access.open({ webConfig: file, rights: undefined }, SILENT);
  for (let i = 0; i < 100; i++) {
    const looking = access.refresh();
    // So that the look is under way.
    for (let turn = 0; turn < i % 10; turn++) await new Promise(setImmediate);
    write(`user${i}`);
    const headers = { Authorization: `Basic ${btoa(`user${i}:right`)}` };
    const admission = await access.admit(new Request("http://localhost/", { headers }));
    expect(admission).toMatchObject({ user: `user${i}` });
    await looking;
  }
});
