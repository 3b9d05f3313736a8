import { formatDuration } from "../lib/duration.ts";
import { Failure } from "../lib/errors.ts";
import { startTimer } from "../lib/timer.ts";
import { announceCreation } from "./announce.ts";
import { SnapshotInvalid, SnapshotNotFound } from "./errors.ts";
import type { Leases } from "./lease.ts";
import { Turns } from "./turns.ts";

/** Too many requests wait for a snapshot already; this one may be repeated later. */
export class QueueFull extends Failure {
  override readonly name = "QueueFull";
  /** @param waiting how many wait for their turn */
  constructor(waiting: number) {
    super(`too many snapshots are asked for at once: ${waiting} requests wait already, try later`);
  }
}

/** The server stops, so nobody will download what Prometheus still makes. */
export class CreationStopped extends Failure {
  override readonly name = "CreationStopped";
}

export interface SnapshotCreatorOptions {
  /** Asks Prometheus for a snapshot and returns its name, checked; given up when the signal fires. */
  readonly ask: (skipHead: boolean, signal: AbortSignal) => Promise<string>;
  readonly snapshotDir: string;
  readonly leases: Leases;
  /** Milliseconds that Prometheus may take for one snapshot. */
  readonly timeLimit: number;
  /** How many requests may wait while one is under way. */
  readonly queueLength: number;
}

/** Has Prometheus create snapshots, one at a time. */
export class SnapshotCreator {
  readonly #options: SnapshotCreatorOptions;
  readonly #turns = new Turns();
  readonly #stopper = new AbortController();

  constructor(options: SnapshotCreatorOptions) {
    this.#options = options;
  }

  /**
   * Waits for its turn, then has a snapshot created and leased.
   *
   * @param skipHead leaves out what isn't in a block yet
   * @param client fires when nobody waits for the answer any more: a waiting request is given up. One
   *   that Prometheus works on isn't, since Prometheus doesn't stop for it: its place is held until
   *   the answer or the time limit, and its snapshot is leased as any other.
   * @returns the new snapshot's name
   * @throws QueueFull; CreationStopped; the signal's reason; what asking Prometheus throws; Failure if
   *   that takes longer than the time limit, or if the snapshot directory doesn't hold the new snapshot
   */
  async create(skipHead: boolean, client: AbortSignal): Promise<string> {
    const { waiting, taken } = this.#turns;
    if (taken && waiting >= this.#options.queueLength) throw new QueueFull(waiting);
    const endTurn = await this.#turns.take(AbortSignal.any([client, this.#stopper.signal]));
    try {
      return await this.#createNow(skipHead);
    } finally {
      endTurn();
    }
  }

  /** Gives up what is waiting and what Prometheus works on. Final. */
  stop(): void {
    this.#stopper.abort(
      new CreationStopped("prombackup-server was stopped while Prometheus made the snapshot"),
    );
  }

  async #createNow(skipHead: boolean): Promise<string> {
    const announced = await announceCreation(this.#options.snapshotDir);
    try {
      const name = await this.#ask(skipHead);
      await this.#lease(name);
      return name;
    } finally {
      announced?.release();
    }
  }

  async #ask(skipHead: boolean): Promise<string> {
    const { ask, timeLimit } = this.#options;
    const overdue = Promise.withResolvers<never>();
    const aborter = new AbortController();
    const giveUp = (failure: unknown) => {
      aborter.abort(failure);
      overdue.reject(failure);
    };
    const timer = startTimer(timeLimit, () =>
      giveUp(
        new Failure(
          `Prometheus did not finish the snapshot within ${formatDuration(timeLimit)}, ` +
            "and may leave an incomplete one behind: allow it more time, or skip the head",
        ),
      ),
    );
    const stop = () => giveUp(this.#stopper.signal.reason);
    this.#stopper.signal.addEventListener("abort", stop);
    try {
      return await Promise.race([overdue.promise, ask(skipHead, aborter.signal)]);
    } finally {
      timer.stop();
      this.#stopper.signal.removeEventListener("abort", stop);
    }
  }

  async #lease(name: string): Promise<void> {
    const { leases, snapshotDir } = this.#options;
    try {
      await leases.grant(name);
    } catch (error) {
      if (!(error instanceof SnapshotNotFound || error instanceof SnapshotInvalid)) throw error;
      throw new Failure(
        `Prometheus made the snapshot ${name}, but ${snapshotDir} doesn't hold it: --snapshot-dir ` +
          'must be the "snapshots" folder of this Prometheus\'s own data directory ' +
          "(its --storage.tsdb.path; in a container, the same volume). The snapshot stays there: " +
          `remove it by hand, rm -r snapshots/${name} in that directory`,
      );
    }
  }
}
