import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { errorText } from "../src/lib/errors.ts";
import { obtainPrometheus } from "./prometheus.ts";
import { installDependencies, installTools } from "./setup.ts";
import { readCounts, skippedTests } from "./test-report.ts";
import { SYSTEM_TOOLS } from "./tools.ts";

const ROOT = resolve(import.meta.dir, "..");

/** `bun run test [ARGUMENT...]`: set-up, then `bun test` with the arguments, then what was left out. */
async function main(args: string[]): Promise<number> {
  await installDependencies();
  const programs = await prometheusPrograms();
  const missing = await installTools(SYSTEM_TOOLS);
  if (missing.tools.length > 0) console.error(`${missing.tools.join(", ")}: ${missing.remedy}`);

  // Everything temporary goes in here, so that nothing stays behind even if a test crashes.
  const scratch = mkdtempSync(join(tmpdir(), "prombackup-tests-"));
  try {
    chmodSync(scratch, 0o755); // Some tests run a program as another user.
    mkdirSync(join(scratch, "tmp"));
    const report = join(scratch, "report.xml");
    const missingFile = join(scratch, "missing");
    const { status, summary } = await bunTest(args, report, {
      ...programs,
      ...(args.length === 0 ? await compiled(join(scratch, "programs")) : {}),
      TMPDIR: join(scratch, "tmp"),
      PROMBACKUP_TEST_MISSING: missingFile,
    });
    const skipped = await skippedTests(report, missingFile);
    if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((s) => `  ${s}`).join("\n")}`);
    const { passed, failed } = readCounts(summary, status);
    console.log(`\ntests: ${passed} passed, ${failed} failed, ${skipped.length} skipped`);
    return status;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function prometheusPrograms(): Promise<Record<string, string>> {
  try {
    const { prometheus, promtool } = await obtainPrometheus();
    return { PROMETHEUS_BIN: prometheus, PROMTOOL_BIN: promtool };
  } catch (error) {
    // The tests that need it skip themselves, or fail under CI=true.
    console.error(errorText(error));
    return {};
  }
}

/** For a run of all tests, which starts the programs thousands of times. */
async function compiled(directory: string): Promise<Record<string, string>> {
  // A process of its own: this one has looked for the dependencies when they weren't there yet.
  const child = Bun.spawn([process.execPath, "scripts/build.ts", directory], {
    cwd: ROOT,
    stdout: "ignore",
    stderr: "inherit",
  });
  if ((await child.exited) !== 0) throw new Error("the programs could not be compiled");
  return { PROMBACKUP_TEST_PROGRAMS: directory };
}

async function bunTest(args: string[], report: string, env: Record<string, string>) {
  const child = Bun.spawn(
    [
      ...[process.execPath, "--no-orphans", "test"],
      // Real programs and a real Prometheus on a busy machine of two cores take their time.
      "--timeout=120000",
      // Half of what they do is waiting.
      "--parallel=2",
      ...["--reporter=junit", `--reporter-outfile=${report}`],
      ...args,
    ],
    {
      cwd: ROOT,
      env: { ...process.env, ...env, ...(process.stderr.isTTY ? { FORCE_COLOR: "1" } : {}) },
      stdin: "ignore",
      stdout: "inherit",
      stderr: "pipe",
    },
  );
  // We stay until the tests have ended, so as to clean up after them.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  // Passed on as it comes; the end of it holds the counts.
  let summary = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    summary = (summary + decoder.decode(chunk, { stream: true })).slice(-4000);
  }
  return { status: await child.exited, summary };
}

process.exitCode = await main(process.argv.slice(2));
