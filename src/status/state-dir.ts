import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { resolve } from "node:path";
import { errorText, Failure } from "../lib/errors.ts";
import { tryFlock, unlockFlock } from "../lib/files/flock.ts";

/**
 * Which directory keeps what must outlive the server.
 *
 * @param asked by flag or variable
 * @param fromSystemd `STATE_DIRECTORY`: the unit's StateDirectory=, several joined by ":". The
 *   snapshot directory may be among them, since that is how a unit makes it writable.
 * @returns undefined: nothing is kept
 */
export function chooseStateDir(
  asked: string | undefined,
  fromSystemd: string | undefined,
  snapshotDir: string,
): string | undefined {
  const candidates = fromSystemd?.split(":").filter((path) => path !== "") ?? [];
  return asked ?? candidates.find((path) => resolve(path) !== resolve(snapshotDir));
}

/**
 * Makes the directory if need be, and takes it for this process alone: a second server would end the
 * first one's running downloads on record. The lock ends with the process, however that ends, and is
 * on the directory itself, so nothing is left behind.
 *
 * @throws Failure if it can't be used, or another server uses it
 */
export function lockStateDir(path: string): { release(): void } {
  const fd = openDirectory(path);
  try {
    if (!tryFlock(fd, "exclusive")) {
      throw new Failure(
        `another prombackup-server uses the state directory ${path}: stop it, or give each a --state-dir of its own`,
      );
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    release: () => {
      unlockFlock(fd);
      closeSync(fd);
    },
  };
}

function openDirectory(path: string): number {
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 });
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw new Failure(
      `the state directory ${path} can't be used: ${errorText(cause)}: name another with --state-dir, or none`,
      { cause },
    );
  }
}
