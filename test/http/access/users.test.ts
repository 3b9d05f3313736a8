import { afterAll, afterEach, describe, expect, spyOn, test } from "bun:test";
import { basicCredentials, TooManyChecks, Users } from "../../../src/http/access/users.ts";

const verify = spyOn(Bun.password, "verify");
afterEach(() => verify.mockClear());
afterAll(() => verify.mockRestore());

const [low, high] = await Promise.all(
  [4, 5].map((cost) => Bun.password.hash("right", { algorithm: "bcrypt", cost })),
);
const HASHES = new Map([
  ["alice", low ?? ""],
  ["bob", high ?? ""],
]);

function credentials(user: string, password = "wrong") {
  return { user, password: Buffer.from(password) };
}

describe("the work of a check", () => {
  test("is done once for an unknown user too, on the hash of a known one", async () => {
    const users = new Users(HASHES);
    const checked = new Set<string>();
    for (let i = 0; i < 50; i++) {
      verify.mockClear();
      expect(await users.verify(credentials(`nobody${i}`, "right"))).toBe(false);
      expect(verify.mock.calls.length).toBe(1);
      checked.add(String(verify.mock.calls[0]?.[1]));
    }
    // With costs that differ, an unknown user may be one of either kind, but always of the same.
    expect(checked).toEqual(new Set(HASHES.values()));
    verify.mockClear();
    for (let i = 0; i < 5; i++) await users.verify(credentials("nobody", `wrong${i}`));
    expect(new Set(verify.mock.calls.map(([, hash]) => hash)).size).toBe(1);
  });

  test("is done again for each wrong password, and once for a right one", async () => {
    const users = new Users(HASHES);
    for (let i = 0; i < 3; i++) expect(await users.verify(credentials("alice"))).toBe(false);
    expect(verify.mock.calls.length).toBe(3);
    for (let i = 0; i < 3; i++) expect(await users.verify(credentials("bob", "right"))).toBe(true);
    expect(verify.mock.calls.length).toBe(4);
  });

  test("is never saved by a name that borrows from the password", async () => {
    const password = "a\0b";
    const hash = await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 });
    const users = new Users(new Map([["alice", hash]]));
    expect(await users.verify(credentials("alice", password))).toBe(true);
    expect(await users.verify(credentials("alice\0a", "b"))).toBe(false);
  });

  test("is of what bcrypt knows of a password, so that what is behind it makes no new one", async () => {
    const long = "x".repeat(72);
    const hash = await Bun.password.hash(long, { algorithm: "bcrypt", cost: 4 });
    const users = new Users(new Map([["alice", hash]]));
    for (let i = 0; i < 5; i++)
      expect(await users.verify(credentials("alice", `${long}${i}`))).toBe(true);
    expect(verify.mock.calls.length).toBe(1);
  });

  test("isn't done again for who is in, when other users change", async () => {
    const users = new Users(HASHES);
    expect(await users.verify(credentials("alice", "right"))).toBe(true);
    users.replace(new Map([...HASHES, ["carol", low ?? ""]]));
    // Not even while so many passwords are tried that others are refused.
    const flood = Array.from({ length: 20 }, (_, i) => users.verify(credentials("bob", `${i}`)));
    verify.mockClear();
    expect(await users.verify(credentials("alice", "right"))).toBe(true);
    await Promise.allSettled(flood);
    expect(verify.mock.calls.map(([, hash]) => hash)).not.toContain(HASHES.get("alice"));
    expect(await users.verify(credentials("carol", "right"))).toBe(true);
  });

  test("is shared by those who ask the same at once, and refused beyond a few who wait", async () => {
    const users = new Users(HASHES);
    const same = Array.from({ length: 100 }, () => users.verify(credentials("alice", "right")));
    expect(new Set(await Promise.all(same))).toEqual(new Set([true]));
    expect(verify.mock.calls.length).toBe(1);
    const flood = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => users.verify(credentials("alice", `wrong${i}`))),
    );
    const refused = flood.filter((each) => each.status === "rejected");
    expect(refused.length).toBe(91);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(TooManyChecks);
    expect(await users.verify(credentials("bob", "right"))).toBe(true);
  });
});

describe("a password that is changed, or whose user is removed", () => {
  const other = Bun.password.hashSync("other", { algorithm: "bcrypt", cost: 4 });
  const after: [string, Map<string, string>][] = [
    ["changed", new Map([...HASHES, ["alice", other]])],
    ["removed", new Map([["bob", high ?? ""]])],
  ];
  test.each(after)("%s: it is out at once", async (_, hashes) => {
    const users = new Users(HASHES);
    expect(await users.verify(credentials("alice", "right"))).toBe(true);
    users.replace(hashes);
    expect(await users.verify(credentials("alice", "right"))).toBe(false);
    users.replace(HASHES);
    expect(await users.verify(credentials("alice", "right"))).toBe(true);
  });

  test.each(after)("%s: so is one that waits for its check", async (_, hashes) => {
    const users = new Users(HASHES);
    const before = users.verify(credentials("bob", "wrong"));
    const waiting = users.verify(credentials("alice", "right"));
    users.replace(hashes);
    expect(await waiting).toBe(false);
    await before;
    expect(await users.verify(credentials("alice", "right"))).toBe(false);
  });
});

describe("an Authorization header", () => {
  const encoded = (text: string) => Buffer.from(text).toString("base64");
  const read: [string, string, string][] = [
    [`Basic ${encoded("alice:secret")}`, "alice", "secret"],
    [`bAsIc  ${encoded("alice:a:b")} `, "alice", "a:b"],
    [`Basic ${encoded(":")}`, "", ""],
    [`Basic ${encoded("jürgen:pä€")}`, "jürgen", "pä€"],
    [`Basic ${encoded("alice:se").replace(/=/g, "")}`, "alice", "se"],
    [`Basic ${encoded(`alice:${"x".repeat(9000)}`)}`, "alice", "x".repeat(9000)],
  ];
  test.each(read)("%s is read", (header, user, password) => {
    const found = basicCredentials(header);
    expect([found?.user, Buffer.from(found?.password ?? []).toString()]).toEqual([user, password]);
  });

  test.each([
    null,
    "",
    "Basic",
    "Basic =",
    "Basic a b",
    `Basic ${encoded("alice:secret")}, Basic ${encoded("alice:secret")}`,
    `Basic ${encoded("alice:secret")},`,
    `Basic\t${encoded("alice:secret")}`,
    `Basic${encoded("alice:secret")}`,
    `Basic ${encoded("alice")}`,
    "Bearer YTpi",
  ])("%j is none", (header) => {
    expect(basicCredentials(header)).toBeUndefined();
  });
});
