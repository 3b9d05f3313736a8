import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { run } from "./run.ts";

const CACHE = resolve(import.meta.dir, "../.cache");
/** Debian's programs, unpacked. Delete the folder to fetch them anew. */
const UNPACKED = join(CACHE, "prometheus");

const VARIABLES = { prometheus: "PROMETHEUS_BIN", promtool: "PROMTOOL_BIN" } as const;

/**
 * A Prometheus program that this machine has: named by PROMETHEUS_BIN or PROMTOOL_BIN, on PATH, or
 * unpacked by an earlier {@link obtainPrometheus}. Throws if a variable names no program.
 */
export function findPrometheus(program: keyof typeof VARIABLES): string | undefined {
  const named = process.env[VARIABLES[program]];
  if (named) {
    if (!isProgram(named)) throw new Error(`${VARIABLES[program]}=${named} is not a program`);
    return resolve(named);
  }
  const unpacked = join(UNPACKED, program);
  return Bun.which(program) ?? (isProgram(unpacked) ? unpacked : undefined);
}

/**
 * Finds both programs, if need be by downloading Debian's package and unpacking it into the
 * project's cache folder. It is not installed: that takes no root and starts no service.
 * Throws with a word on what to install if there is no way.
 */
export async function obtainPrometheus(): Promise<{ prometheus: string; promtool: string }> {
  const found = findBoth();
  if (found) return found;
  try {
    await unpackDebianPackage();
  } catch (cause) {
    throw new Error(
      "no Prometheus: neither prometheus and promtool on PATH, nor PROMETHEUS_BIN and PROMTOOL_BIN, " +
        "and Debian's package could not be fetched. Install it (Debian: apt-get install prometheus; " +
        "elsewhere: https://prometheus.io/download/) or set the two variables",
      { cause },
    );
  }
  const fetched = findBoth();
  if (!fetched)
    throw new Error(`Debian's package has put no prometheus or promtool into ${UNPACKED}`);
  return fetched;
}

function findBoth(): { prometheus: string; promtool: string } | undefined {
  const prometheus = findPrometheus("prometheus");
  const promtool = findPrometheus("promtool");
  return prometheus && promtool ? { prometheus, promtool } : undefined;
}

async function unpackDebianPackage(): Promise<void> {
  console.error("Prometheus: fetching Debian's package ...");
  await unpackPrograms(UNPACKED, async (scratch, programs) => {
    await fetchInto(scratch, "prometheus");
    // Since Debian 13 it has a package of its own.
    if (!isProgram(join(programs, "promtool"))) await fetchInto(scratch, "promtool");
  });
}

/** Finds node_exporter in the same way as {@link obtainPrometheus}: on PATH or from Debian's package. */
export async function obtainNodeExporter(): Promise<string> {
  const onPath = Bun.which("prometheus-node-exporter") ?? Bun.which("node_exporter");
  if (onPath !== null) return onPath;
  const unpacked = join(CACHE, "node-exporter");
  const program = join(unpacked, "prometheus-node-exporter");
  if (isProgram(program)) return program;
  console.error("node_exporter: fetching Debian's package ...");
  await unpackPrograms(unpacked, (scratch) => fetchInto(scratch, "prometheus-node-exporter"));
  return program;
}

/** Puts the programs of packages into a directory of the cache, which is there whole or not at all. */
async function unpackPrograms(
  target: string,
  fetch: (scratch: string, programs: string) => Promise<void>,
): Promise<void> {
  for (const tool of ["apt-get", "dpkg-deb"]) {
    if (!Bun.which(tool)) throw new Error(`no ${tool} on PATH`);
  }
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(join(CACHE, ".fetch-"));
  try {
    const programs = join(scratch, "tree/usr/bin");
    await fetch(scratch, programs);
    // One rename, so that an interrupted run leaves no half a cache; a second run at the same time
    // that was faster has put the same there.
    if (!existsSync(target)) renameSync(programs, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Unpacks a package into `scratch`/tree. */
async function fetchInto(scratch: string, name: string): Promise<void> {
  const download = join(scratch, name);
  mkdirSync(download);
  // As root, apt would fetch as a user of its own, who may not write into our folder.
  const aptGet = ["apt-get", "-q", "-o", "APT::Sandbox::User=root"];
  try {
    await run([...aptGet, "download", name], { cwd: download });
  } catch {
    // The system's package lists are missing or out of date, and only root may renew them.
    const [state, cache] = [join(scratch, "state"), join(scratch, "cache")];
    mkdirSync(join(state, "lists/partial"), { recursive: true });
    mkdirSync(join(cache, "archives/partial"), { recursive: true });
    aptGet.push("-o", `Dir::State=${state}`, "-o", `Dir::Cache=${cache}`);
    await run([...aptGet, "-o", "APT::Update::Error-Mode=any", "update"]);
    await run([...aptGet, "download", name], { cwd: download });
  }
  const [file] = new Bun.Glob("*.deb").scanSync(download);
  if (file === undefined) throw new Error(`apt-get download ${name} has left no package file`);
  await run(["dpkg-deb", "-x", join(download, file), join(scratch, "tree")]);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
