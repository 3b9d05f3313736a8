import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../support/programs.ts";
import { basic, hashes, NAME, replace, SECRET, setUp, start, status } from "./access-support.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

interface Probe {
  readonly target: string;
  /** What is offered there. */
  readonly methods: readonly string[];
  /** Any of these is enough. */
  readonly rights: readonly string[];
}

const API: Probe[] = [
  { target: "/api/snapshot", methods: ["POST"], rights: ["create"] },
  { target: `/api/download?name=${NAME}`, methods: ["GET"], rights: ["create"] },
  { target: "/api/download_status?id=x", methods: ["GET"], rights: ["read", "create"] },
  { target: "/api/downloads", methods: ["GET"], rights: ["read"] },
  { target: "/api/prune?keep_within=1000000h", methods: ["POST"], rights: ["prune"] },
  { target: "/api/snapshots", methods: ["GET"], rights: ["read"] },
  {
    target: "/api/snapshots/20250101T000000Z-0123456789abcdef",
    methods: ["DELETE"],
    rights: ["prune"],
  },
];
const PROBES: Probe[] = [
  { target: "/", methods: ["GET"], rights: ["read"] },
  { target: "/metrics", methods: METHODS, rights: ["read"] },
  { target: "/-/healthy", methods: ["GET", "HEAD"], rights: ["any"] },
  { target: "/-/ready", methods: ["GET", "HEAD"], rights: ["any"] },
  // What OPTIONS tells of a route is for everyone who is in.
  ...API,
  ...API.map(({ target }) => ({ target, methods: ["OPTIONS"], rights: ["any"] })),
];

/** Each way to have rights or not. */
const USERS: Record<string, string[]> = {
  nothing: [],
  reader: ["read"],
  creator: ["create"],
  pruner: ["prune"],
  maker: ["read", "create"],
  keeper: ["read", "prune"],
  worker: ["create", "prune"],
  everything: ["read", "create", "prune"],
  unnamed: ["read", "create", "prune"],
};

/** What a request with a method should be answered: refused for the method, for want of a right, or neither. */
function expected(target: string, method: string, rights: readonly string[]): string {
  const offered = PROBES.filter((each) => each.target === target && each.methods.includes(method));
  if (offered.length === 0) return "405";
  const may = offered.some((each) =>
    each.rights.some((right) => ["any", ...rights].includes(right)),
  );
  return may ? "served" : "403";
}

describe("rights", () => {
  test("decide for each route, by each method, what each user may do", async () => {
    const users = Object.keys(USERS).map((name) => `  ${name}: ${hashes.low}\n`);
    const setup = setUp(`basic_auth_users:\n${users.join("")}`);
    const file = join(setup.dir, "access.yml");
    const named = Object.entries(USERS).filter(([name]) => name !== "unnamed");
    writeFileSync(file, JSON.stringify({ users: Object.fromEntries(named) }));
    const { url, log } = await start(setup, "--access-file", file);
    const targets = [...new Set(PROBES.map(({ target }) => target))];
    for (const [user, rights] of Object.entries(USERS)) {
      for (const target of targets) {
        for (const method of METHODS) {
          const { status: code } = await fetch(url + target, {
            method,
            headers: basic(user, SECRET),
          });
          const got = code === 405 || code === 403 || code === 401 ? String(code) : "served";
          const should = expected(target, method, rights);
          expect([user, method, target, got]).toEqual([user, method, target, should]);
        }
      }
    }
    // Who isn't in learns nothing of any of it.
    for (const target of [...targets, "/nothing"])
      for (const method of METHODS)
        expect([target, method, (await fetch(url + target, { method })).status]).toEqual([
          target,
          method,
          401,
        ]);
    expect(log()).not.toContain(SECRET);
  });

  test("are named to who lacks them, and count from the next request on when they change", async () => {
    const setup = setUp(`basic_auth_users: {reader: ${hashes.low}}\n`);
    const file = join(setup.dir, "access.yml");
    writeFileSync(file, "users: {reader: [read]}\n");
    const { url } = await start(setup, "--access-file", file);
    const download = `${url}/api/download?name=${NAME}`;
    const refused = await fetch(download, { headers: basic("reader", SECRET) });
    expect(await refused.text()).toBe('this user lacks the right "create"\n');
    replace(file, "");
    expect(await status(download, basic("reader", SECRET))).toBe(403);
    replace(file, "users:\n  reader: [read, create]\n");
    expect(await status(download, basic("reader", SECRET))).toBe(200);
    replace(file, "users:\n  reader: []\n");
    expect(await status(download, basic("reader", SECRET))).toBe(403);
  });

  test("without users, or with a right that there isn't, are refused at the start", async () => {
    const setup = setUp("");
    const file = join(setup.dir, "access.yml");
    const args = ["--snapshot-dir", setup.snapshots, "--access-file", file];
    writeFileSync(file, "users: {alice: [read]}\n");
    const without = await run("prombackup-server", args);
    expect([without.status, without.stderr]).toEqual([
      1,
      expect.stringContaining("name them under basic_auth_users"),
    ]);
    writeFileSync(setup.web, `basic_auth_users: {alice: ${hashes.low}}\n`);
    writeFileSync(file, "users: {alice: [write]}\n");
    const wrong = await run("prombackup-server", [...args, "--web.config.file", setup.web]);
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringContaining("users.alice holds something else than read, create, prune"),
    ]);
  });
});
