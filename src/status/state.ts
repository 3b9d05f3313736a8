import type { Database } from "bun:sqlite";
import { errorText } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { openDatabase } from "./database.ts";
import { History, type HistoryLimits } from "./history.ts";
import { lockStateDir } from "./state-dir.ts";

/** What is worth to be known of when it last went well, over restarts too. */
export type Work = "download" | "snapshot" | "prune" | "verification";

/** More names than there ever are snapshots; they are small. */
const MAX_CONFIRMED = 10_000;

/**
 * What the server must still know after a restart: the ends of downloads, when work last succeeded,
 * and which snapshots Prometheus has confirmed. No disk that is full or broken gets in the way of a
 * backup: what can't be written is logged, and missing after the restart.
 */
export class State {
  readonly history: History;

  private constructor(
    private readonly database: Database,
    private readonly lock: { release(): void } | undefined,
    limits: HistoryLimits,
    private readonly log: Log,
  ) {
    this.history = new History(database, limits, (work) => this.write(work));
  }

  /**
   * @param directory undefined: in memory alone
   * @throws Failure if the directory can't be used, or another server uses it
   */
  static open(directory: string | undefined, limits: HistoryLimits, log: Log): State {
    const lock = directory === undefined ? undefined : lockStateDir(directory);
    return new State(openDatabase(directory, log), lock, limits, log);
  }

  /** Something went well just now. */
  succeeded(work: Work): void {
    this.write(() =>
      this.database
        .query("INSERT OR REPLACE INTO last_success (work, at) VALUES (?, ?)")
        .run(work, Date.now()),
    );
  }

  /** When something last went well, in milliseconds since 1970; undefined if never. */
  lastSuccess(work: Work): number | undefined {
    return this.database
      .query<{ at: number }, [string]>("SELECT at FROM last_success WHERE work = ?")
      .get(work)?.at;
  }

  /** Prometheus has said that this snapshot is complete. */
  confirm(snapshot: string): void {
    this.write(() => {
      this.database
        .query("INSERT OR REPLACE INTO confirmed_snapshots (name) VALUES (?)")
        .run(snapshot);
      this.database
        .query(
          `DELETE FROM confirmed_snapshots WHERE rowid <=
             (SELECT rowid FROM confirmed_snapshots ORDER BY rowid DESC LIMIT 1 OFFSET ?)`,
        )
        .run(MAX_CONFIRMED);
    });
  }

  /** Whether Prometheus has said so to this server, or to an earlier one with the same record. */
  isConfirmed(snapshot: string): boolean {
    return (
      this.database.query("SELECT 1 FROM confirmed_snapshots WHERE name = ?").get(snapshot) !== null
    );
  }

  close(): void {
    this.database.close();
    this.lock?.release();
  }

  private write(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.log.error("the record of downloads could not be written", { error: errorText(error) });
    }
  }
}
