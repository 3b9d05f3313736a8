import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { listing } from "./support.ts";

/** The system calls that change what has which name. */
export const RENAMING = ["mkdir", "rename", "renameat2", "unlink", "rmdir"];

/** How a restore is started; `wrap` puts another program before it. */
export interface Start {
  readonly args: readonly string[];
  readonly wrap?: (command: readonly string[]) => string[];
  /** A call that fails meanwhile, in strace's words. */
  readonly fail?: string;
}

/**
 * Runs a restore that strace kills as it enters the Nth call of a kind.
 *
 * @returns false if it came to its end before
 */
export async function killAtCall(
  { args, wrap, fail }: Start,
  call: string,
  n: number,
): Promise<boolean> {
  const restore = commandLine("prombackup", ["restore", ...args]);
  const inject = `inject=${call}:signal=SIGKILL:when=${n}`;
  const failing = fail === undefined ? [] : ["-e", `inject=${fail}`];
  const traced = ["strace", "-f", "-qq", "-o", "/dev/null", ...failing, "-e", inject, ...restore];
  const child = Bun.spawn(wrap?.(traced) ?? traced, {
    env: cleanEnvironment(),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await child.stderr.text();
  const status = await child.exited;
  if (status !== 0 && status !== 137 && child.signalCode !== "SIGKILL")
    throw new Error(`neither killed nor done, but ${status}: ${said}`);
  return status !== 0;
}

/** Runs a restore and kills it after so many milliseconds. */
export async function killAfter(args: readonly string[], milliseconds: number): Promise<void> {
  const child = Bun.spawn(commandLine("prombackup", ["restore", ...args]), {
    env: cleanEnvironment(),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await Promise.race([Bun.sleep(milliseconds), child.exited]);
  child.kill("SIGKILL");
  await child.exited;
}

/** What Prometheus sees of a directory: it passes over our names, and over a lock that nobody holds. */
export function visible(directory: string): Record<string, string> {
  const all = Object.entries(listing(directory));
  const seen = all.filter(([path]) => !path.startsWith(".prombackup-") && path !== "lock");
  return Object.fromEntries(seen);
}

/** Whether a file keeps Prometheus from starting on a directory. */
export function isBarred(target: string): boolean {
  return lstatSync(join(target, "wal"), { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Whether a directory of this content lies somewhere beside or below the target. */
export function isKept(target: string, content: Record<string, string>): boolean {
  const places = [target, ...subdirectories(dirname(target)), ...subdirectories(target)];
  const nested = places.flatMap((place) => [place, ...subdirectories(place)]);
  return nested.some((place) => Bun.deepEquals(visible(place), content));
}

function subdirectories(path: string): string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
}

/** Empties a directory, without giving it another inode. */
export function empty(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(directory)) {
    rmSync(join(directory, name), { recursive: true, force: true });
  }
}
