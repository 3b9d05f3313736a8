import { existsSync } from "node:fs";
import { join } from "node:path";
import { startTimer, type Timer } from "../lib/timer.ts";
import { SnapshotInvalid, SnapshotNotFound } from "./errors.ts";
import { lockShared, type SnapshotLock, tryLockShared } from "./lock.ts";

/** How long a snapshot is kept for its first, or its next, download. */
const LEASE_SECONDS = 15 * 60;

/**
 * What is known of a snapshot that this server created. While `lock` is there, it is leased;
 * afterwards the record stays, since a download that fails later renews the lease.
 */
interface Lease {
  lock: SnapshotLock | undefined;
  /** Runs while the snapshot is leased and no download of it runs. */
  timer: Timer | undefined;
  /** Downloads that run. */
  downloads: number;
}

/**
 * Keeps the snapshots that this server created from being pruned, by any process, until a download of
 * them succeeded, or until 15 minutes after their creation or the end of their last failed download.
 *
 * A lease is a shared lock with an end, so it ends with the process too. Times are counted by the
 * monotonic clock: no jump of the wall clock shortens or lengthens a lease.
 */
export class Leases {
  readonly #snapshotDir: string;
  readonly #milliseconds: number;
  readonly #leases = new Map<string, Lease>();

  constructor(snapshotDir: string, options: { readonly seconds?: number } = {}) {
    this.#snapshotDir = snapshotDir;
    this.#milliseconds = (options.seconds ?? LEASE_SECONDS) * 1000;
  }

  /**
   * Leases a snapshot that was just created.
   *
   * @throws as lockShared does: SnapshotNotFound if the snapshot directory doesn't hold it
   */
  async grant(name: string): Promise<void> {
    const lock = await lockShared(this.#snapshotDir, name);
    this.#forgetRemoved();
    this.#end(name);
    const lease: Lease = { lock, timer: undefined, downloads: 0 };
    this.#leases.set(name, lease);
    this.#startTimer(lease);
  }

  /**
   * To be called while the download holds its own lock. The lease doesn't run out during a download;
   * one that ran out before is taken up again, in case this download fails too. Snapshots that were
   * never leased stay so.
   */
  downloadStarted(name: string): void {
    const lease = this.#leases.get(name);
    if (lease === undefined) return;
    lease.downloads++;
    lease.timer?.stop();
    this.#lockAgain(name, lease);
  }

  /** To be called before the download lets go of its own lock. Success ends the lease for good. */
  downloadEnded(name: string, success: boolean): void {
    const lease = this.#leases.get(name);
    if (lease === undefined) return;
    if (success) {
      this.#end(name);
      return;
    }
    lease.downloads = Math.max(0, lease.downloads - 1);
    if (lease.downloads === 0) this.#startTimer(lease);
  }

  /**
   * Runs `use`, which is to remove the snapshot, without the lease in its way. The lease is over if
   * that succeeds, and goes on if it fails and the snapshot is still there.
   */
  async setAside<T>(name: string, use: () => Promise<T>): Promise<T> {
    const lease = this.#leases.get(name);
    const leased = lease?.lock !== undefined;
    lease?.lock?.release();
    if (lease !== undefined) lease.lock = undefined;
    try {
      const result = await use();
      if (this.#leases.get(name) === lease) this.#end(name);
      return result;
    } catch (error) {
      // Unless it was granted anew meanwhile. Its time may have run out, so it begins again.
      if (leased && this.#leases.get(name) === lease) {
        this.#lockAgain(name, lease);
        if (lease.downloads === 0) this.#startTimer(lease);
      }
      throw error;
    }
  }

  /** Ends all leases. */
  close(): void {
    for (const name of [...this.#leases.keys()]) this.#end(name);
  }

  #startTimer(lease: Lease): void {
    lease.timer?.stop();
    lease.timer = startTimer(this.#milliseconds, () => {
      lease.lock?.release();
      lease.lock = undefined;
    });
  }

  #lockAgain(name: string, lease: Lease): void {
    if (lease.lock !== undefined) return;
    try {
      lease.lock = tryLockShared(this.#snapshotDir, name);
    } catch (error) {
      // Removed meanwhile: nothing is left to lease.
      if (!(error instanceof SnapshotNotFound || error instanceof SnapshotInvalid)) throw error;
      this.#end(name);
    }
  }

  #end(name: string): void {
    const lease = this.#leases.get(name);
    lease?.timer?.stop();
    lease?.lock?.release();
    this.#leases.delete(name);
  }

  /** Records of leases that ran out are kept as long as their snapshots, not for ever. */
  #forgetRemoved(): void {
    for (const [name, { lock, downloads }] of this.#leases) {
      const over = lock === undefined && downloads === 0;
      if (over && !existsSync(join(this.#snapshotDir, name))) this.#end(name);
    }
  }
}
