import { expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NAME, snapshotDir, start } from "../e2e/support.ts";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { needs } from "../support/tools.ts";
import { fault } from "./fault.ts";
import { canMount, Disk } from "./mounts.ts";
import { fixedSnapshot } from "./proxy.ts";
import { CAN_RESTORE, Place, tamper, type Way } from "./restore-try.ts";

const skip = !needs("mkfs.ext4", "strace") || !canMount("disk");

/** What is killed as it enters one of these leaves on the disk what was there behind the one before. */
const CALL = "fsync";

function occupied(disk: Disk, way: Way): Place {
  const place = new Place(join(disk.directory, "parent"), way);
  disk.sync();
  return place;
}

const BOTH = "the old state or the new one";
const BARRED = `${BOTH}, or a file that keeps it from starting`;

const WAYS: [string, Way, string, boolean][] = [
  ["a restore --replace", "exchange", BOTH, false],
  ["a restore into a mount point", "within", BARRED, !needs("unshare")],
  ["a restore --block --replace", "block", BOTH, false],
];

for (const [what, way, found, cannot] of WAYS) {
  const states = way === "within" ? ["barred", "new", "old"] : ["new", "old"];

  fault(
    `power is lost right behind ${what}`,
    "all that it has put in place is there, and what was there before is kept",
    async () => {
      const disk = new Disk();
      const place = occupied(disk, way);
      expect(await place.restore()).toMatchObject({ status: 0 });
      disk.losePower();
      expect(place.state).toBe("new");
    },
    { skip: skip || !CAN_RESTORE || cannot },
  );

  fault(
    `power is lost at each step of ${what}`,
    `Prometheus finds ${found}; the same command ends with all in place, and what was there before is kept`,
    async () => {
      const seen = new Set<string>();
      for (let n = 1; ; n++) {
        const disk = new Disk();
        const place = occupied(disk, way);
        const killing = { call: CALL, how: "signal=SIGKILL", when: String(n) };
        if ((await tamper(place, killing)).status === 0) break;
        disk.losePower();
        seen.add(place.found);
        expect([n, await place.restore()]).toMatchObject([n, { status: 0 }]);
        // What was complete is restored once more.
        expect([n, place.state]).toEqual([n, expect.stringMatching(/^(new|twice)$/)]);
      }
      expect([...seen].sort()).toEqual(states);
    },
    { skip: skip || !CAN_RESTORE || cannot, timeout: 300_000 },
  );
}

const server = skip ? undefined : await start(snapshotDir(300_000, "random"));
const url = server && fixedSnapshot(server.url);

/** A directory on the disk with yesterday's archive and its checksum. */
function yesterdays(disk: Disk): string {
  const cwd = join(disk.directory, "backups");
  mkdirSync(cwd);
  writeFileSync(join(cwd, "x.tar"), "yesterday");
  writeFileSync(join(cwd, "x.tar.sha256"), `${sha256("yesterday")}  x.tar\n`);
  disk.sync();
  return cwd;
}

function sha256(content: string | Buffer): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

/** A create over yesterday's archive, perhaps under another program. */
function create(cwd: string, under: readonly string[] = []): Promise<number> {
  const args = ["create", "--server", url ?? "", "--output", "x.tar", "--checksum-file"];
  return Bun.spawn([...under, ...commandLine("prombackup", args)], {
    cwd,
    env: cleanEnvironment(),
    stdio: ["ignore", "ignore", "ignore"],
  }).exited;
}

/** Of a backup directory: the archive, which is yesterday's or the new one. */
async function archiveIn(cwd: string): Promise<"yesterday" | "new"> {
  const content = readFileSync(join(cwd, "x.tar"));
  if (content.toString() === "yesterday") return "yesterday";
  const answer = await fetch(`${server?.url}/api/download?name=${NAME}`);
  expect(sha256(content)).toBe(sha256(Buffer.from(await answer.bytes())));
  return "new";
}

async function requireMade(cwd: string): Promise<void> {
  expect(await archiveIn(cwd)).toBe("new");
  const sums = readFileSync(join(cwd, "x.tar.sha256"), "utf8");
  expect(sums).toBe(`${sha256(readFileSync(join(cwd, "x.tar")))}  x.tar\n`);
  expect(readdirSync(cwd).sort()).toEqual(["x.tar", "x.tar.sha256"]);
}

fault(
  "power is lost right behind a create over yesterday's archive",
  "the new archive is there, whole, and so is its checksum file",
  async () => {
    const disk = new Disk();
    const cwd = yesterdays(disk);
    expect(await create(cwd)).toBe(0);
    disk.losePower();
    await requireMade(cwd);
  },
  { skip },
);

fault(
  "power is lost at each step of a create over yesterday's archive",
  "yesterday's archive is there, or the new one, whole; the same command makes the new one",
  async () => {
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      const disk = new Disk();
      const cwd = yesterdays(disk);
      const inject = ["-e", `trace=${CALL}`, "-e", `inject=${CALL}:signal=SIGKILL:when=${n}`];
      if ((await create(cwd, ["strace", "-f", "-qq", "-o", "/dev/null", ...inject])) === 0) break;
      disk.losePower();
      seen.add(await archiveIn(cwd));
      expect([n, await create(cwd)]).toEqual([n, 0]);
      await requireMade(cwd);
    }
    expect([...seen].sort()).toEqual(["new", "yesterday"]);
  },
  { skip, timeout: 300_000 },
);
