import { randomBytes } from "node:crypto";
import type { DownloadStatus, FinishedDownload } from "../api/contract.ts";
import type { History } from "./history.ts";

/**
 * How long the end of a download is told, whatever becomes of the disk and the clock: clients ask
 * right after, people later. The history tells it for longer, as far as it can.
 */
export const KEEP_MILLISECONDS = 15 * 60 * 1000;

/** A bound on what a flood of failing downloads can leave in memory. */
const MAX_FINISHED = 10_000;

const KILLED =
  "prombackup-server ended while it sent this: it was killed, or the machine went down";

/** A download that runs. Finish it exactly once; further calls change nothing. */
export interface RunningDownload {
  readonly id: string;
  finish(result: FinishedDownload): void;
}

export interface DownloadClocks {
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** The wall clock, which ids start with. */
  readonly wall: () => Date;
  /** The time to judge the age of history by, with so many milliseconds to be kept. */
  readonly age: (keepWithin: number) => Date;
}

interface Row {
  status: DownloadStatus;
  /** By the monotonic clock, so that a jump of the wall clock neither drops nor keeps a status. */
  finishedAt: number | undefined;
}

/**
 * What became of each download: those that run and those that ended lately are in memory, which no
 * disk can get in the way of; all of them are in the history.
 */
export class Downloads {
  private readonly rows = new Map<string, Row>();
  private counter = 0;
  /** Downloads that ended well and whose end nobody has asked for yet. */
  private readonly untold = new Set<string>();
  private wakeWhenAllTold: (() => void) | undefined;
  private readonly startedAt: number;
  /** What the server before this one was sending when it ended; on record as failed now. */
  readonly interrupted: readonly DownloadStatus[];

  constructor(
    private readonly history: History,
    private readonly clocks: DownloadClocks,
  ) {
    this.startedAt = clocks.monotonic();
    this.interrupted = this.resume();
  }

  start(snapshotName: string): RunningDownload {
    const id = this.newId();
    const row: Row = {
      status: { id, snapshot_name: snapshotName, finished: null },
      finishedAt: undefined,
    };
    this.rows.set(id, row);
    this.history.begin(id, snapshotName);
    return {
      id,
      finish: (result) => {
        if (row.finishedAt !== undefined) return;
        row.finishedAt = this.clocks.monotonic();
        row.status = { ...row.status, finished: result };
        // Who was cut off knows it already, and does not ask.
        if (result.success) this.untold.add(id);
        this.history.end(id, result, this.clocks.wall().getTime());
        this.forgetHistory();
      },
    };
  }

  get(id: string): DownloadStatus | undefined {
    this.forgetOld();
    const row = this.rows.get(id);
    if (row === undefined) return this.history.get(id);
    if (row.finishedAt !== undefined) this.told(id);
    return row.status;
  }

  /** Resolves when each end has been asked for, or after so many milliseconds. */
  async allTold(limit: number): Promise<void> {
    if (this.untold.size === 0) return;
    await new Promise<void>((resolve) => {
      this.wakeWhenAllTold = resolve;
      setTimeout(resolve, limit);
    });
  }

  private told(id: string): void {
    this.untold.delete(id);
    if (this.untold.size === 0) this.wakeWhenAllTold?.();
  }

  /** Newest first. */
  list(): DownloadStatus[] {
    this.forgetOld();
    const recent = [...this.rows.values()].map((row) => row.status).reverse();
    return [...recent, ...this.history.list().filter(({ id }) => !this.rows.has(id))];
  }

  /** Those that run, and those that ended within the last 15 minutes. */
  get trackedCount(): number {
    this.forgetOld();
    return this.rows.size;
  }

  /** Takes over from the server before this one. */
  private resume(): DownloadStatus[] {
    const now = this.clocks.wall().getTime();
    const interrupted = this.history.running().map((status) => ({
      ...status,
      finished: { success: false, error_text: KILLED, sha256_hex: "" },
    }));
    for (const { id, finished } of interrupted) this.history.end(id, finished, now);
    for (const { status, at } of this.history.endedSince(now - KEEP_MILLISECONDS)) {
      const age = Math.max(0, now - at);
      this.rows.set(status.id, { status, finishedAt: this.startedAt - age });
    }
    return interrupted;
  }

  private forgetOld(): void {
    const before = this.clocks.monotonic() - KEEP_MILLISECONDS;
    const finished = [...this.rows].filter(([, row]) => row.finishedAt !== undefined);
    finished.forEach(([id, row], index) => {
      const surplus = finished.length - index > MAX_FINISHED;
      if (!surplus && (row.finishedAt ?? 0) >= before) return;
      this.rows.delete(id);
      this.told(id);
    });
  }

  /** A server that starts with a wrong clock gets the time to set it before anything is old. */
  private forgetHistory(): void {
    const young = this.clocks.monotonic() - this.startedAt < KEEP_MILLISECONDS;
    const { keepWithin } = this.history.limits;
    this.history.forgetOld(young ? undefined : this.clocks.age(keepWithin).getTime());
  }

  /** `YYYYMMDDhhmmss_` in UTC, a counter and random hex: ids sort by time and can't be guessed. */
  private newId(): string {
    const time = this.clocks.wall().toISOString().replace(/\D/g, "").slice(0, 14);
    this.counter = (this.counter + 1) % 0x10000;
    return `${time}_${this.counter.toString(16).padStart(4, "0")}${randomBytes(8).toString("hex")}`;
  }
}
