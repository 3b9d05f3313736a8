import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "../../scripts/run.ts";
import { parseDuration } from "../../src/lib/duration.ts";
import { compiledPrograms } from "../support/compiled.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { namesInDefaults, PACKAGING, readDefaults, readUnit } from "./unit.ts";

const SERVICES = ["prombackup-server.service", "prombackup-create.service"];
const UNITS = [...SERVICES, "prombackup-create.timer"];
const skip = !needs("systemd-analyze");

/** The units as they would be installed, but with the programs where this test has them. */
async function installedUnits(): Promise<string> {
  const directory = tempDir();
  cpSync(PACKAGING, directory, { recursive: true });
  const programs = await compiledPrograms();
  for (const service of SERVICES) {
    const text = readFileSync(join(directory, service), "utf8");
    writeFileSync(
      join(directory, service),
      text.replace("ExecStart=/usr/local/bin/", `ExecStart=${programs}/`),
    );
  }
  return directory;
}

describe("The systemd units", () => {
  test.skipIf(skip)("pass systemd-analyze verify without a word", async () => {
    const directory = await installedUnits();
    const paths = UNITS.map((unit) => join(directory, unit));
    const child = Bun.spawn(["systemd-analyze", "verify", "--man=no", ...paths], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = (await child.stdout.text()) + (await child.stderr.text());
    expect(said).toBe("");
    expect(await child.exited).toBe(0);
  });

  for (const service of SERVICES) {
    test.skipIf(skip)(`${service} has an exposure of 2.0 or less`, async () => {
      const report = await run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", `./${service}`],
        { cwd: PACKAGING },
      );
      const level = /Overall exposure level for \S+: ([\d.]+)/.exec(report)?.[1];
      expect(Number(level)).toBeGreaterThan(0);
      expect(Number(level)).toBeLessThanOrEqual(2.0);
    });

    test(`${service} leaves the just-in-time compiler alone`, () => {
      expect(readUnit(service).has("MemoryDenyWriteExecute")).toBe(false);
    });
  }

  test("give the server longer to stop than it takes by itself", async () => {
    const help = await run([join(await compiledPrograms(), "prombackup-server"), "--help"]);
    const grace = /--shutdown-grace.*?default (\w+)/s.exec(help)?.[1] ?? "";
    const [stop = ""] = readUnit("prombackup-server.service").get("TimeoutStopSec") ?? [];
    expect(parseDuration(stop)).toBeGreaterThanOrEqual(parseDuration(grace) + 10_000);
  });
});

describe("prombackup-server.default", () => {
  test("speaks of variables that the server knows, and of all of them", async () => {
    const help = await run([join(await compiledPrograms(), "prombackup-server"), "--help"]);
    const known = new Set(help.match(/PROMBACKUP_SERVER_\w+/g));
    expect(namesInDefaults().sort()).toEqual([...known].sort());
  });

  test("names the directory that the unit makes and lets the server write to", () => {
    const unit = readUnit("prombackup-server.service");
    const directory = readDefaults()["PROMBACKUP_SERVER_SNAPSHOT_DIR"] ?? "";
    expect(unit.get("StateDirectory")).toEqual([
      `prombackup-server ${directory.replace("/var/lib/", "")}`,
    ]);
    expect(unit.get("AssertPathIsDirectory")).toEqual([dirname(directory)]);
    expect(unit.has("ReadWritePaths")).toBe(false);
  });
});

test("README's lines put everything where the units look for it", async () => {
  const root = tempDir();
  const cwd = join(PACKAGING, "../..");
  for (const directory of ["usr/local/bin", "etc/systemd/system", "etc/default", "bin"])
    mkdirSync(join(root, directory), { recursive: true });
  const systemctl = join(root, "bin", "systemctl");
  writeFileSync(systemctl, `#!/bin/sh\necho "$@" >> ${root}/systemctl.log\n`, { mode: 0o755 });
  const readme = readFileSync(join(cwd, "README.md"), "utf8");
  const lines = /## systemd\n.*?```sh\n(.*?)```/s.exec(readme)?.[1] ?? "";
  const here = lines
    .replaceAll("dist/", `${await compiledPrograms()}/`)
    .replaceAll(/ \/(usr|etc)\//g, ` ${root}/$1/`);
  await run(["sh", "-ec", `PATH=${join(root, "bin")}:$PATH\n${here}`], { cwd });
  for (const service of SERVICES) {
    const [program = ""] = readUnit(service).get("ExecStart")?.[0]?.split(" ") ?? [];
    expect(statSync(join(root, program)).mode & 0o777).toBe(0o755);
    expect(existsSync(join(root, "etc/systemd/system", service))).toBeTrue();
  }
  expect(existsSync(join(root, "etc/default/prombackup-server"))).toBeTrue();
  expect(readFileSync(join(root, "systemctl.log"), "utf8")).toBe(
    "daemon-reload\nenable --now prombackup-server.service prombackup-create.timer\n",
  );
});
