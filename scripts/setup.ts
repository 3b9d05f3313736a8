import { resolve } from "node:path";
import { run } from "./run.ts";
import { findTool, PACKAGES, type SystemTool } from "./tools.ts";

const ROOT = resolve(import.meta.dir, "..");

/** Installs this project's own packages exactly as bun.lock says; does nothing if they are there. */
export async function installDependencies(): Promise<void> {
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: ROOT });
}

/**
 * Sees to the tools: those that are missing are installed from Debian if we are root and apt-get is
 * there. Answers what is still missing and why; it never fails.
 */
export async function installTools(tools: readonly SystemTool[]): Promise<Missing> {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool]))];
  if (packages.length === 0) return { tools: [], remedy: "" };
  const remedy = `apt-get install --no-install-recommends ${packages.join(" ")}`;
  if (process.getuid?.() !== 0 || !Bun.which("apt-get")) {
    return { tools: missing, remedy: `install: ${remedy}` };
  }
  console.error(`Tools for the tests: installing ${packages.join(", ")} ...`);
  try {
    await aptInstall(packages);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { tools: missing, remedy: `${remedy} failed: ${why}` };
  }
  return { tools: missing.filter((tool) => findTool(tool) === undefined), remedy };
}

export interface Missing {
  readonly tools: readonly SystemTool[];
  /** What to do about it, or what was tried, in one line. */
  readonly remedy: string;
}

async function aptInstall(packages: string[]): Promise<void> {
  // None of the packages has a service that would start; runlevel 1 makes sure of their dependencies.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const install = ["apt-get", "-q", "-y", "--no-install-recommends", "install", ...packages];
  try {
    await run(install, { env });
  } catch {
    // On a fresh machine the package lists are missing or out of date.
    await run(["apt-get", "-q", "update"], { env });
    await run(install, { env });
  }
}
