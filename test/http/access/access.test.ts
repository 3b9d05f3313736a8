import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Access } from "../../../src/http/access/access.ts";
import type { Log } from "../../../src/lib/log.ts";
import { selfSigned } from "../../support/certificates.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";

const SILENT: Log = { info() {}, warn() {}, error() {} };
const HASH = await Bun.password.hash("right", { algorithm: "bcrypt", cost: 4 });

function request(user: string): Request {
  const headers = { Authorization: `Basic ${btoa(`${user}:right`)}` };
  return new Request("http://localhost/", { headers });
}

test("a request knows what the file says when it comes, even while the file is looked at", async () => {
  const file = join(tempDir(), "web.yml");
  const write = (user: string) => writeFileSync(file, `basic_auth_users: {${user}: ${HASH}}\n`);
  write("user");
  const access = await Access.open({ webConfig: file, rights: undefined }, SILENT);
  for (let i = 0; i < 100; i++) {
    const looking = access.refresh();
    // So that the look is under way.
    for (let turn = 0; turn < i % 10; turn++) await new Promise(setImmediate);
    write(`user${i}`);
    expect(await access.admit(request(`user${i}`))).toMatchObject({ user: `user${i}` });
    await looking;
  }
});

describe("the access file", () => {
  async function open(rights: string) {
    const dir = tempDir();
    const [web, file] = [join(dir, "web.yml"), join(dir, "access.yml")];
    writeFileSync(web, `basic_auth_users: {alice: ${HASH}, bob: ${HASH}}\n`);
    writeFileSync(file, rights);
    const said: string[] = [];
    const log: Log = {
      info: (message) => void said.push(message),
      warn: (message, fields) => void said.push(`${message}: ${fields?.["users"]}`),
      error: (_, fields) => void said.push(String(fields?.["error"])),
    };
    const access = await Access.open({ webConfig: web, rights: file }, log);
    const rightsOf = async (user: string) => {
      const admission = await access.admit(request(user));
      return "rights" in admission ? [...admission.rights].join() : "out";
    };
    return { web, file, said, rightsOf };
  }

  test("that is half written, or half gone, gives nobody everything", async () => {
    const { web, file, said, rightsOf } = await open("users:\n  alice: [read]\n  bob: [read]\n");
    writeFileSync(file, "users:\n  alice: [create]\n  bo");
    expect([await rightsOf("alice"), await rightsOf("bob")]).toEqual(["read", "read"]);
    writeFileSync(file, "users:\n  alice: [create]\n");
    expect([await rightsOf("alice"), await rightsOf("bob")]).toEqual(["read", "read"]);
    expect(said.at(-1)).toEndWith("has named takes a restart of the server: bob");
    // Who isn't a user any more needs no rights.
    writeFileSync(web, `basic_auth_users: {alice: ${HASH}}\n`);
    expect([await rightsOf("alice"), await rightsOf("bob")]).toEqual(["create", "out"]);
  });

  test("is told to be in order again, even if it is as it was before", async () => {
    const before = "users:\n  alice: [read]\n";
    const { file, said, rightsOf } = await open(before);
    writeFileSync(file, "users:\n  alice: [write]\n");
    expect(await rightsOf("alice")).toBe("read");
    writeFileSync(file, before);
    expect(await rightsOf("alice")).toBe("read");
    expect(said).toEqual([
      expect.stringContaining("users.alice holds something else"),
      "the access configuration is in order again",
    ]);
  });

  test("that names a user who isn't one is a warning, at the start and when it changes", async () => {
    const { file, said, rightsOf } = await open("users:\n  alice: [read]\n  eve: [read]\n");
    expect(said).toEqual([expect.stringMatching(/not in basic_auth_users: eve$/)]);
    writeFileSync(file, "users:\n  alice: [read]\n  mallory: []\n");
    expect(await rightsOf("alice")).toBe("read");
    expect(said.at(-1)).toMatch(/not in basic_auth_users: mallory$/);
  });

  test("reads the right user's name, or is refused", async () => {
    const refused = (text: string) => open(text).then(undefined, String);
    expect(await refused("users:\n  007: []\n")).toContain("put it in quotes");
    expect(await refused("users: {bob: [], bob: [prune]}\n")).toContain("bob is repeated");
    expect(await refused("users: {bob: read}\n")).toContain("users.bob is not a list");
    const { rightsOf } = await open("users:\n  alice: [prune, prune]\n  bob:\n");
    expect([await rightsOf("alice"), await rightsOf("bob")]).toEqual(["prune", ""]);
  });
});

test.skipIf(!needs("openssl"))(
  "a certificate that the listener couldn't take is tried again",
  async () => {
    const dir = tempDir();
    const web = join(dir, "web.yml");
    const write = (name: string) => {
      selfSigned(name, dir);
      writeFileSync(web, `tls_server_config: {cert_file: ${name}.crt, key_file: ${name}.key}\n`);
    };
    write("first");
    const access = await Access.open({ webConfig: web, rights: undefined }, SILENT);
    const taken: string[] = [];
    access.onTls(() => {
      taken.push("refused");
      access.onTls(({ cert }) => void taken.push(cert));
      throw new Error("too many open files");
    });
    write("second");
    // A file that has just changed would be read again for that alone.
    await Bun.sleep(200);
    for (let i = 0; i < 3; i++) await access.refresh(true);
    expect(taken).toEqual(["refused", await Bun.file(join(dir, "second.crt")).text()]);
  },
);
