import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanEnvironment } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";

const ROOT = join(import.meta.dir, "..", "..");

async function bun(cwd: string, ...args: string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd,
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (status !== 0) throw new Error(`bun ${args.join(" ")}: ${status}\n${stdout}${stderr}`);
  return stdout;
}

test("both programs run from the packed package, by their own names", async () => {
  const packed = tempDir();
  await bun(ROOT, "pm", "pack", "--destination", packed, "--ignore-scripts");
  const [archive = ""] = readdirSync(packed);
  const user = join(tempDir(), "user");
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{"name": "user", "private": true}');
  // What an earlier run, or the project itself, has fetched is not asked for again.
  await bun(user, "add", "--prefer-offline", join(packed, archive));
  expect(existsSync(join(user, "node_modules", "prombackup", "test"))).toBeFalse();
  // --no-install: what is run is what was packed, never something of that name from elsewhere.
  for (const program of ["prombackup", "prombackup-server"]) {
    expect(await bun(user, "x", "--no-install", program, "--version")).toMatch(
      new RegExp(`^${program} \\d`),
    );
  }
  // The settings of the directory that it is started in are another program's.
  writeFileSync(join(user, ".env"), "PROMBACKUP_ENDPOINT=http://127.0.0.1:1\n");
  writeFileSync(join(user, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(user, "evil.ts"), "throw new Error('evil');\n");
  await expect(bun(user, "x", "--no-install", "prombackup", "list")).rejects.toThrow(
    "PROMBACKUP_ENDPOINT) is required",
  );
  const dependencies = readdirSync(join(user, "node_modules")).filter(
    (name) => !name.startsWith("."),
  );
  expect(dependencies.sort()).toEqual(["citty", "consola", "fflate", "prombackup"]);
});
