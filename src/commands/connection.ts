import { Client, type ClientLimits, DEFAULT_LIMITS, networkTransport } from "../api/client.ts";
import { ALL_RIGHTS } from "../http/access/rights.ts";
import { App } from "../http/app.ts";
import { httpUrl, optional, text } from "../lib/command-line/flags.ts";
import { interruptible } from "../lib/command-line/interrupt.ts";
import { UsageError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { HttpConfig } from "../lib/network/http-config.ts";
import { checkSnapshotDir } from "../snapshots/check-dir.ts";
import { DEFAULT_HISTORY } from "../status/history.ts";
import { State } from "../status/state.ts";

/** How to get into a server that asks for more than its URL. */
export const httpConfigFlag = optional(text, {
  description:
    "How to get into the server: user and password, or a token, certificates, headers, in the form of promtool's --http.config.file.",
  valueHint: "FILE",
  env: "PROMBACKUP_HTTP_CONFIG_FILE",
});

/** The flags that say whose snapshots a command works with. */
export const connectionFlags = {
  server: optional(httpUrl, {
    description: "Base URL of prombackup-server; a path prefix is kept.",
    valueHint: "URL",
    env: "PROMBACKUP_ENDPOINT",
    excludes: ["snapshot-dir"],
  }),
  "http.config.file": httpConfigFlag,
  "snapshot-dir": optional(text, {
    description:
      'Work without a server, on Prometheus\'s own host: the directory "snapshots" within its data directory.',
    valueHint: "DIR",
  }),
  "prometheus-endpoint": optional(httpUrl, {
    description: "With --snapshot-dir: base URL of Prometheus. Without it, http://localhost:9090.",
    valueHint: "URL",
  }),
  "prometheus.http.config.file": optional(text, {
    description:
      "With --snapshot-dir: how to get into Prometheus, in the form of --http.config.file.",
    valueHint: "FILE",
  }),
};

interface ConnectionOptions {
  readonly server: URL | undefined;
  readonly "snapshot-dir": string | undefined;
  readonly "prometheus-endpoint": URL | undefined;
  readonly "http.config.file": string | undefined;
  readonly "prometheus.http.config.file": string | undefined;
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
export async function withConnection<T>(
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
    const http = await openHttpConfig(options["prometheus.http.config.file"]);
    return withLocalApp(snapshotDir, endpoint, http, context, limits ?? DEFAULT_LIMITS, work);
  }
  if (prometheus !== undefined) throw new UsageError("--prometheus-endpoint needs --snapshot-dir");
  if (options["prometheus.http.config.file"] !== undefined)
    throw new UsageError("--prometheus.http.config.file needs --snapshot-dir");
  if (server === undefined) {
    throw new UsageError(
      "--server (or PROMBACKUP_ENDPOINT) is required; without a server, --snapshot-dir",
    );
  }
  const http = await openHttpConfig(options["http.config.file"]);
  const client = new Client(server, networkTransport(http), true, limits);
  return interruptible((signal) => work({ client, local: false, signal }));
}

/** @throws Failure that tells what is wrong with the file */
export async function openHttpConfig(path: string | undefined): Promise<HttpConfig | undefined> {
  return path === undefined ? undefined : HttpConfig.open(path);
}

async function withLocalApp<T>(
  snapshotDir: string,
  prometheusEndpoint: URL,
  prometheusHttp: HttpConfig | undefined,
  context: CommandContext,
  limits: ClientLimits,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const { workerUrl, log } = context;
  // That the directory isn't there is all that tells a wrong one from one without snapshots.
  await checkSnapshotDir(snapshotDir, { ...log, info: log.warn });
  const settings = {
    snapshotDir,
    prometheusEndpoint,
    prometheusHttp,
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
  rights: ALL_RIGHTS,
  holdOpen: () => {},
  unsent: () => undefined,
  copies: false,
  reset: () => false,
};

/** What fails is told by the command itself, and what succeeds needs no line of the app's. */
function warningsOnly(log: Log): Log {
  return { info: () => {}, warn: log.warn, error: () => {} };
}
