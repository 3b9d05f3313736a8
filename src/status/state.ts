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
 * backup: what can't be written is logged, and missing after the restart; what can't be read is
 * logged, and counts as unknown.
 */
export class State {
  readonly history: History;
  /** Of this run, whatever the disk does. */
  private readonly successes = new Map<Work, number>();
  private readonly confirmed = new Set<string>();
  private closed = false;

  private constructor(
    private readonly database: Database,
    private readonly lock: { release(): void } | undefined,
    limits: HistoryLimits,
    private readonly log: Log,
  ) {
    this.history = new History(database, limits, {
      write: (change) => this.write(change),
      read: (otherwise, look) => this.read(otherwise, look),
    });
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
    const now = Date.now();
    this.successes.set(work, now);
    this.write(() =>
      this.database
        .query("INSERT OR REPLACE INTO last_success (work, at) VALUES (?, ?)")
        .run(work, now),
    );
  }

  /** When something last went well, in milliseconds since 1970; undefined if never. */
  lastSuccess(work: Work): number | undefined {
    const query = "SELECT at FROM last_success WHERE work = ?";
    const earlier = () => this.database.query<{ at: number }, [string]>(query).get(work)?.at;
    return this.successes.get(work) ?? this.read(undefined, earlier);
  }

  /** Prometheus has said that this snapshot is complete. */
  confirm(snapshot: string): void {
    this.confirmed.add(snapshot);
    const [oldest] = this.confirmed;
    if (this.confirmed.size > MAX_CONFIRMED && oldest !== undefined) this.confirmed.delete(oldest);
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
    const query = "SELECT 1 FROM confirmed_snapshots WHERE name = ?";
    const earlier = () => this.database.query(query).get(snapshot) !== null;
    return this.confirmed.has(snapshot) || this.read(false, earlier);
  }

  /** What is told afterwards, by a prune that was under way, is on no record. */
  close(): void {
    this.closed = true;
    this.database.close();
    this.lock?.release();
  }

  private write(change: () => void): void {
    if (this.closed) return;
    try {
      change();
    } catch (error) {
      this.log.error("the record of downloads could not be written", { error: errorText(error) });
    }
  }

  private read<T>(otherwise: T, look: () => T): T {
    try {
      return look();
    } catch (error) {
      this.log.error("the record of downloads could not be read", { error: errorText(error) });
      return otherwise;
    }
  }
}
