import { Client, type ClientLimits, DEFAULT_LIMITS, networkTransport } from "../api/client.ts";
import { App } from "../http/app.ts";
import { UsageError } from "../lib/errors.ts";
import { httpUrl, optional, text } from "../lib/flags.ts";
import { interruptible } from "../lib/interrupt.ts";
import type { Log } from "../lib/log.ts";
import { checkSnapshotDir } from "../snapshots/check-dir.ts";
import { DEFAULT_HISTORY } from "../status/history.ts";
import { State } from "../status/state.ts";

/** The flags that say whose snapshots a command works with. */
export const connectionFlags = {
  server: optional(httpUrl, {
    description: "Base URL of prombackup-server; a path prefix is kept.",
    valueHint: "URL",
    env: "PROMBACKUP_ENDPOINT",
    excludes: ["snapshot-dir"],
  }),
  "snapshot-dir": optional(text, {
    description:
      'Work without a server, on Prometheus\'s own host: the directory "snapshots" within its data directory.',
    valueHint: "DIR",
  }),
  "prometheus-endpoint": optional(httpUrl, {
    description: "With --snapshot-dir: base URL of Prometheus. Without it, http://localhost:9090.",
    valueHint: "URL",
  }),
};

interface ConnectionOptions {
  readonly server: URL | undefined;
  readonly "snapshot-dir": string | undefined;
  readonly "prometheus-endpoint": URL | undefined;
  readonly limits?: ClientLimits;
}

/** What a command line needs of the program around it. */
export interface CommandContext {
  readonly log: Log;
  /** Of the workers that compress, and of those that check blocks. */
  readonly workerUrl: URL;
  readonly checkWorkerUrl: URL;
}

/** What a command does its work with. */
export interface Connection {
  readonly client: Client;
  /** The work is done in this process, without a server. */
  readonly local: boolean;
  /** Fires when the user interrupts the command. */
  readonly signal: AbortSignal;
}

/**
 * Runs work with a client of a server; or of a server's app in this process, so that the same code
 * does it.
 */
export function withConnection<T>(
  options: ConnectionOptions,
  context: CommandContext,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const {
    server,
    "snapshot-dir": snapshotDir,
    "prometheus-endpoint": prometheus,
    limits,
  } = options;
  if (snapshotDir !== undefined) {
    const endpoint = prometheus ?? new URL("http://localhost:9090/");
    return withLocalApp(snapshotDir, endpoint, context, limits ?? DEFAULT_LIMITS, work);
  }
  if (prometheus !== undefined) throw new UsageError("--prometheus-endpoint needs --snapshot-dir");
  if (server === undefined) {
    throw new UsageError(
      "--server (or PROMBACKUP_ENDPOINT) is required; without a server, --snapshot-dir",
    );
  }
  const client = new Client(server, networkTransport, true, limits);
  return interruptible((signal) => work({ client, local: false, signal }));
}

async function withLocalApp<T>(
  snapshotDir: string,
  prometheusEndpoint: URL,
  context: CommandContext,
  limits: ClientLimits,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const { workerUrl, log } = context;
  await checkSnapshotDir(snapshotDir, warningsOnly(log));
  const settings = {
    snapshotDir,
    prometheusEndpoint,
    snapshotTimeout: limits.answer,
    maxDownloads: Number.POSITIVE_INFINITY,
    stallTimeout: Number.POSITIVE_INFINITY,
    compression: { workerUrl },
    limitRate: undefined,
    // What a command sends to itself, it checks as it arrives.
    checkWorkerUrl: undefined,
  };
  const state = State.open(undefined, DEFAULT_HISTORY, log);
  const app = new App(settings, state, warningsOnly(log));
  const transport = (request: Request) => app.fetch(request, IN_PROCESS);
  const client = new Client(new URL("http://localhost/"), transport, false, limits);
  try {
    return await interruptible((signal) => work({ client, local: true, signal }));
  } finally {
    app.close();
  }
}

/** There is no network in between, so nothing of it can stall. */
const IN_PROCESS = {
  peer: undefined,
  holdOpen: () => {},
  unsent: () => undefined,
  copies: false,
  reset: () => false,
};

/** What fails is told by the command itself, and what succeeds needs no line of the app's. */
function warningsOnly(log: Log): Log {
  return { info: () => {}, warn: log.warn, error: () => {} };
}
