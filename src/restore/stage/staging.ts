import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode, errorText, Failure } from "../../lib/errors.ts";
import { syncDirectory } from "../../lib/files/sync-directory.ts";
import { HOLD_DIRECTORY } from "../../snapshots/held.ts";
import { type SnapshotLock, tryLockDirectory } from "../../snapshots/lock.ts";
import { remedy } from "../failed.ts";
import { mark } from "./marker.ts";

/**
 * The directory in which a restore prepares what is to be put in place. It is locked by flock(2) for
 * as long as the restore runs, so that two don't meet in it, and what a killed one left is known for
 * nobody's. It is open to nobody else and reached through its descriptor: a restore that root runs
 * where another user may write can't be led elsewhere.
 */
export class Staging {
  /** How it is called in messages. */
  readonly path: string;
  readonly #lock: SnapshotLock;
  #open = true;

  private constructor(path: string, lock: SnapshotLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes the directory, or takes over one that nobody holds.
   *
   * @throws Failure if another restore holds it, or it can't be made
   */
  static open(path: string): Staging {
    for (;;) {
      const made = make(path);
      // Another restore that ends right now takes it away.
      const held = lock(path, made);
      if (held !== undefined) return new Staging(path, held);
    }
  }

  /** The same if the directory exists already; otherwise undefined, and nothing is made. */
  static openExisting(path: string): Staging | undefined {
    const held = lock(path, false);
    return held && new Staging(path, held);
  }

  /** The way to what it holds. */
  at(name: string): string {
    return `${this.#lock.path}/${name}`;
  }

  get names(): string[] {
    return readdirSync(this.#lock.path);
  }

  /**
   * Begins anew with an empty `data`, which is marked (see {@link ./marker.ts}) from its first moment
   * to its last: what is called so and isn't marked is the other one of an exchange.
   *
   * @returns the way to it
   */
  makeData(): string {
    const [preparing, data] = [this.at("preparing"), this.at("data")];
    mkdirSync(preparing, { mode: 0o700 });
    mark(preparing);
    renameSync(preparing, data);
    return data;
  }

  /** Removes it with all that is in it, and lets go of it. Twice is fine. */
  discard(): void {
    if (!this.#open) return;
    if (this.names.includes("data")) renameSync(this.at("data"), this.at("discarded"));
    for (const name of this.names) rmSync(this.at(name), { recursive: true, force: true });
    this.close();
  }

  /** Removes it after an error, which matters more than one of the removal: the next run removes the rest. */
  abandon(): void {
    try {
      this.discard();
    } catch {
      this.leave();
    }
  }

  /** Lets go of it, and leaves it to {@link ../put/recover.ts}. Twice is fine. */
  leave(): void {
    this.#open = false;
    this.#lock.release();
  }

  /** Removes it if it is empty, and lets go of it. Twice is fine. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      if (this.names.length > 0) return;
      rmdirSync(this.path);
      // Or it may be there again after a power cut, and be taken for that of an interrupted restore.
      syncDirectory(dirname(this.path));
    } finally {
      this.#lock.release();
    }
  }
}

/** @returns false if it was there */
function make(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw new Failure(`can't make ${path}: ${errorText(error)}: ${remedy(error)}`);
  }
}

/**
 * @param made it was made for this, and goes again if it can't be locked
 * @returns undefined if there is no such directory
 */
function lock(path: string, made: boolean): SnapshotLock | undefined {
  let held: SnapshotLock | undefined;
  try {
    held = tryLockDirectory(path, "exclusive", HOLD_DIRECTORY);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    if (made) rmdirSync(path);
    const isOther = errorCode(error) === "ENOTDIR" || errorCode(error) === "ELOOP";
    if (isOther) throw new Failure(`${path} is in the way: ${errorText(error)}: move it away`);
    throw new Failure(`can't lock ${path}: ${errorText(error)}: ${remedy(error)}`);
  }
  if (held === undefined) {
    throw new Failure(`another prombackup restore is at work in ${path}: wait for its end`);
  }
  const { uid } = statSync(held.path);
  if (uid !== process.geteuid?.()) {
    held.release();
    throw new Failure(
      `${path} belongs to uid ${uid}, who began a restore here: finish it as that user, or move it away`,
    );
  }
  return held;
}
