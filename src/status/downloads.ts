import { randomBytes } from "node:crypto";
import type { DownloadStatus, FinishedDownload } from "../api/contract.ts";

/** How long a download stays on record after its end: clients ask right after, people later. */
export const KEEP_MILLISECONDS = 15 * 60 * 1000;

/** A bound on what a flood of failing downloads can leave in memory. */
const MAX_FINISHED = 10_000;

/** A download that runs. Finish it exactly once; further calls change nothing. */
export interface RunningDownload {
  readonly id: string;
  finish(result: FinishedDownload): void;
}

interface Row {
  status: DownloadStatus;
  /** By the monotonic clock, so that a jump of the wall clock neither drops nor keeps a status. */
  finishedAt: number | undefined;
}

/** What became of each download, in memory: those that run and those that ended lately. */
export class Downloads {
  private readonly rows = new Map<string, Row>();
  private counter = 0;
  /** downloads that ended well and whose end nobody has asked for yet. */
  private readonly untold = new Set<string>();
  private wakeWhenAllTold: (() => void) | undefined;

  /**
   * @param now Milliseconds of a clock that never jumps.
   * @param date The wall clock, which ids start with.
   */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly date: () => Date = () => new Date(),
  ) {}

  start(snapshotName: string): RunningDownload {
    const id = this.newId();
    const row: Row = {
      status: { id, snapshot_name: snapshotName, finished: null },
      finishedAt: undefined,
    };
    this.rows.set(id, row);
    return {
      id,
      finish: (result) => {
        if (row.finishedAt !== undefined) return;
        row.finishedAt = this.now();
        row.status = { ...row.status, finished: result };
        // Who was cut off knows it already, and does not ask.
        if (result.success) this.untold.add(id);
      },
    };
  }

  get(id: string): DownloadStatus | undefined {
    this.forgetOld();
    const row = this.rows.get(id);
    if (row?.finishedAt !== undefined) this.told(id);
    return row?.status;
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
    return [...this.rows.values()].map((row) => row.status).reverse();
  }

  /** Those that run and those still on record. */
  get trackedCount(): number {
    this.forgetOld();
    return this.rows.size;
  }

  private forgetOld(): void {
    const before = this.now() - KEEP_MILLISECONDS;
    const finished = [...this.rows].filter(([, row]) => row.finishedAt !== undefined);
    finished.forEach(([id, row], index) => {
      const surplus = finished.length - index > MAX_FINISHED;
      if (!surplus && (row.finishedAt ?? 0) >= before) return;
      this.rows.delete(id);
      this.told(id);
    });
  }

  /** `YYYYMMDDhhmmss_` in UTC, a counter and random hex: ids sort by time and can't be guessed. */
  private newId(): string {
    const time = this.date().toISOString().replace(/\D/g, "").slice(0, 14);
    this.counter = (this.counter + 1) % 0x10000;
    return `${time}_${this.counter.toString(16).padStart(4, "0")}${randomBytes(8).toString("hex")}`;
  }
}
