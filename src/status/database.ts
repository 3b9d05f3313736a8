import { Database } from "bun:sqlite";
import { existsSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorText } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

const FILE = "prombackup.db";

/** "prmb": told apart from the databases of other programs. */
const APPLICATION_ID = 0x70_72_6d_62;

/** The form of the tables below; to be raised with them. */
const VERSION = 1;

/** Times are milliseconds since 1970. STRICT: what is read back has the types that are named here. */
const TABLES = `
  CREATE TABLE downloads (
    id TEXT PRIMARY KEY,
    snapshot TEXT NOT NULL,
    finished_at INTEGER,
    error_text TEXT,
    sha256 TEXT
  ) STRICT;
  CREATE INDEX downloads_finished ON downloads (finished_at);
  CREATE TABLE last_success (work TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
  CREATE TABLE confirmed_snapshots (name TEXT PRIMARY KEY) STRICT;
`;

/**
 * Opens the server's database, or one in memory if there is no directory. One that is damaged, or of
 * a later release, is set aside under another name; whatever else is wrong with it or the disk, the
 * record is kept in memory. All of it is logged, and none of it keeps a server from starting: what
 * is lost is the past, and backups go on.
 */
export function openDatabase(directory: string | undefined, log: Log): Database {
  if (directory === undefined) return initialised(new Database(":memory:"));
  const path = join(directory, FILE);
  try {
    return openFile(path);
  } catch (error) {
    if (!existsSync(path)) return keptInMemory(path, error, log);
    log.error("the record of downloads can't be read and is set aside: a new one begins", {
      file: path,
      error: errorText(error),
    });
  }
  try {
    const aside = setAside(path);
    log.info("the record of downloads was set aside", { file: aside });
    return openFile(path);
  } catch (error) {
    return keptInMemory(path, error, log);
  }
}

function keptInMemory(path: string, error: unknown, log: Log): Database {
  log.error("no record of downloads can be written: it is kept in memory, and a restart ends it", {
    file: path,
    error: `${errorText(error)}: may the server write to ${dirname(path)}?`,
  });
  return initialised(new Database(":memory:"));
}

function openFile(path: string): Database {
  const database = new Database(path, { create: true });
  try {
    // A commit is safe from the death of this process at once, and from a power cut a moment later:
    // syncing each would stop the event loop for as long as the disk takes.
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    return initialised(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

function initialised(database: Database): Database {
  const version = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  if (version === 0 && application === 0 && isEmpty(database)) {
    database.transaction(() => {
      database.run(TABLES);
      database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      database.run(`PRAGMA user_version = ${VERSION}`);
    })();
    return database;
  }
  if (application !== APPLICATION_ID) throw new Error("it belongs to another program");
  if (version !== VERSION) {
    throw new Error(`its version is ${version}, and this release knows ${VERSION}`);
  }
  const found = String(pragma(database, "quick_check"));
  if (found !== "ok") throw new Error(found);
  return database;
}

function isEmpty(database: Database): boolean {
  return database.query("SELECT 1 FROM sqlite_schema LIMIT 1").get() === null;
}

function pragma(database: Database, name: string): unknown {
  return database.query<Record<string, unknown>, []>(`PRAGMA ${name}`).get()?.[name];
}

/** Its write-ahead log goes first: left behind, it would be taken for the new database's. */
function setAside(path: string): string {
  const stamp = new Date().toISOString().replace(/\D/g, "");
  const aside = `${path}.set-aside-${stamp}`;
  for (const suffix of ["-wal", "-shm", ""]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}
