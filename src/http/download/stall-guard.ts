import { formatDuration } from "../../lib/duration.ts";
import { Failure, UsageError } from "../../lib/errors.ts";
import { startTimer, type Timer } from "../../lib/timer.ts";
import type { Connection } from "../router.ts";

/** A download that takes less than this within the time limit has stalled. */
const LEAST_BYTES = 64 * 1024;

/** How often a time limit is looked at: a slow reader's progress is seen in several places. */
const LOOKS_PER_LIMIT = 10;

/** Most complete downloads are taken at once. */
const LONGEST_TAIL_LOOK_MS = 500;

export interface StallGuardOptions {
  /** Milliseconds in which 64 KiB must go out. */
  readonly limit: number;
  /** As the connection's: {@link Connection}. */
  readonly unsent: Connection["unsent"];
  readonly onStall: (reason: Failure) => void;
  /** All is handed over: it ends when the other side has all of it, or the connection is closed. */
  readonly complete?: boolean;
}

/**
 * Downloads that the server itself slows down must not be cut for it.
 *
 * @param rate bytes per second of all downloads together
 * @param stallTimeout milliseconds
 * @throws UsageError if they leave each of so many downloads too little
 */
export function requireRate(rate: number, stallTimeout: number, downloads: number): void {
  const least = Math.ceil((LEAST_BYTES * downloads * 1000) / stallTimeout);
  if (rate >= least) return;
  throw new UsageError(
    `--limit-rate leaves ${downloads} downloads (--max-downloads) so little that --stall-timeout cuts them: give ${least} or more, or change one of the others`,
  );
}

/**
 * Cuts the connection of an archive that is complete, and waits in buffers for a client that has
 * stalled. It holds nothing of the download.
 */
export function guardTail({ unsent, reset }: Connection, limit: number): void {
  new StallGuard({ limit, unsent, onStall: reset, complete: true });
}

/**
 * Watches whether a download is taken. Some four megabytes lie in buffers of the system on its way,
 * so a reader of 1 KB/s makes itself felt here once in twenty minutes alone; therefore the kernel is
 * asked as well, whose queue shrinks with each byte that the other side acknowledges.
 */
export class StallGuard {
  private timer: Timer | undefined;
  private stopped = false;
  private progress = 0;
  private since = performance.now();
  private lastUnsent = 0;

  constructor(private readonly options: StallGuardOptions) {
    this.schedule();
  }

  /** So many bytes were asked for. */
  sent(bytes: number): void {
    this.made(bytes);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.stop();
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = startTimer(this.interval, () => {
      this.look();
      this.schedule();
    });
  }

  private get interval(): number {
    const interval = this.options.limit / LOOKS_PER_LIMIT;
    return this.options.complete ? Math.min(interval, LONGEST_TAIL_LOOK_MS) : interval;
  }

  private look(): void {
    const unsent = this.options.unsent() ?? 0;
    if (this.options.complete && unsent === 0) this.stop();
    this.made(Math.max(0, this.lastUnsent - unsent));
    this.lastUnsent = unsent;
    const { limit, onStall } = this.options;
    if (this.stopped || performance.now() - this.since < limit) return;
    this.stop();
    const within = `${LEAST_BYTES / 1024} KiB were taken within ${formatDuration(limit)}`;
    onStall(new Failure(`stalled: less than ${within} (--stall-timeout)`));
  }

  private made(bytes: number): void {
    this.progress += bytes;
    if (this.progress < LEAST_BYTES) return;
    this.progress = 0;
    this.since = performance.now();
  }
}
