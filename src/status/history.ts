import type { Database } from "bun:sqlite";
import type { DownloadStatus, FinishedDownload } from "../api/contract.ts";

/** How much of the past is kept. */
export interface HistoryLimits {
  /** Milliseconds since the end of a download. */
  readonly keepWithin: number;
  /** Downloads that have ended. */
  readonly maxRows: number;
}

export const DEFAULT_HISTORY: HistoryLimits = {
  keepWithin: 30 * 24 * 60 * 60 * 1000,
  maxRows: 10_000,
};

/** A download that ended, and when, in milliseconds since 1970. */
export interface Ended {
  readonly status: DownloadStatus;
  readonly at: number;
}

interface Row {
  readonly id: string;
  readonly snapshot: string;
  readonly finished_at: number | null;
  /** Null: it ended well, or runs. */
  readonly error_text: string | null;
  readonly sha256: string | null;
}

const COLUMNS = "id, snapshot, finished_at, error_text, sha256";

/** How the database is used: what fails is logged, not thrown. */
export interface Guard {
  write(change: () => void): void;
  read<T>(otherwise: T, look: () => T): T;
}

/** The downloads in the database, those of earlier servers too. Bounded in age and number. */
export class History {
  constructor(
    private readonly database: Database,
    readonly limits: HistoryLimits,
    private readonly guard: Guard,
  ) {}

  begin(id: string, snapshot: string): void {
    this.guard.write(() =>
      this.database.query("INSERT INTO downloads (id, snapshot) VALUES (?, ?)").run(id, snapshot),
    );
  }

  /** @param at milliseconds since 1970 */
  end(id: string, result: FinishedDownload, at: number): void {
    const { success, error_text, sha256_hex } = result;
    this.guard.write(() =>
      this.database
        .query("UPDATE downloads SET finished_at = ?, error_text = ?, sha256 = ? WHERE id = ?")
        .run(at, success ? null : (error_text ?? ""), sha256_hex, id),
    );
  }

  get(id: string): DownloadStatus | undefined {
    const [row] = this.select("WHERE id = ?", id);
    return row === undefined ? undefined : statusOf(row);
  }

  /** Newest first. */
  list(): DownloadStatus[] {
    return this.select("ORDER BY rowid DESC").map(statusOf);
  }

  /** Those that ended at this time or later, oldest first. */
  endedSince(at: number): Ended[] {
    const rows = this.select("WHERE finished_at >= ? ORDER BY rowid", at);
    return rows.map((row) => ({ status: statusOf(row), at: row.finished_at ?? at }));
  }

  /** Those that run, or did when the server before this one was killed; oldest first. */
  running(): DownloadStatus[] {
    return this.select("WHERE finished_at IS NULL ORDER BY rowid").map(statusOf);
  }

  private select(which: string, ...parameters: (string | number)[]): Row[] {
    const query = `SELECT ${COLUMNS} FROM downloads ${which}`;
    return this.guard.read([], () =>
      this.database.query<Row, (string | number)[]>(query).all(...parameters),
    );
  }

  /** @param now milliseconds since 1970; undefined if no clock is to be believed: age counts nothing */
  forgetOld(now: number | undefined): void {
    this.guard.write(() => {
      if (now !== undefined) {
        this.database
          .query("DELETE FROM downloads WHERE finished_at < ?")
          .run(now - this.limits.keepWithin);
      }
      this.database
        .query(
          `DELETE FROM downloads WHERE finished_at IS NOT NULL AND rowid <=
             (SELECT rowid FROM downloads WHERE finished_at IS NOT NULL
              ORDER BY rowid DESC LIMIT 1 OFFSET ?)`,
        )
        .run(this.limits.maxRows);
    });
  }
}

function statusOf(row: Row): DownloadStatus {
  const { id, snapshot, finished_at, error_text, sha256 } = row;
  const finished =
    finished_at === null
      ? null
      : { success: error_text === null, error_text, sha256_hex: sha256 ?? "" };
  return { id, snapshot_name: snapshot, finished };
}
