import { ROUTES } from "../api/contract.ts";
import { type CompressorOptions, createCompressor } from "../archive/write.ts";
import { versionText } from "../lib/command-line/version.ts";
import { errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { HttpConfig } from "../lib/network/http-config.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import { Prometheus } from "../prometheus.ts";
import { PruneClock } from "../snapshots/clock.ts";
import { SnapshotCreator } from "../snapshots/create.ts";
import { Leases } from "../snapshots/lease.ts";
import { Downloads } from "../status/downloads.ts";
import type { State } from "../status/state.ts";
import { neededRights, type RoutePath } from "./access/rights.ts";
import { handleDownload } from "./download/download.ts";
import { DownloadSlots } from "./download/download-slots.ts";
import { RunningTransfers } from "./download/running-transfers.ts";
import { Verification } from "./download/verification.ts";
import { handleHealthy, handleReady } from "./health.ts";
import { Instruments } from "./metrics/instruments.ts";
import { MetricsHandler } from "./metrics/metrics.ts";
import { handlePage } from "./page.ts";
import { handlePrune, type PruneParts, pruneAndLog } from "./prune.ts";
import { isLogged, lineOf, textResponse } from "./respond.ts";
import { type Connection, dispatch, type Route, routeOf } from "./router.ts";
import { handleCreateSnapshot, handleListSnapshots, handleRemoveSnapshot } from "./snapshots.ts";
import { handleDownloadStatus, handleListDownloads } from "./status.ts";
import { requestTarget } from "./target.ts";

export interface AppSettings {
  readonly prometheusEndpoint: URL;
  /** How to get into Prometheus, if that takes more than its URL. */
  readonly prometheusHttp: HttpConfig | undefined;
  readonly snapshotDir: string;
  /** Milliseconds that Prometheus may take for a snapshot. */
  readonly snapshotTimeout: number;
  /** How many downloads may be prepared or sent at once. */
  readonly maxDownloads: number;
  /** Milliseconds in which the client of a download must take 64 KiB. */
  readonly stallTimeout: number;
  readonly compression: CompressorOptions;
  /** Bytes per second of all downloads together; undefined: as fast as they are taken. */
  readonly limitRate: number | undefined;
  /** The file of the worker that checks what is downloaded; undefined: nothing is checked. */
  readonly checkWorkerUrl: URL | undefined;
}

/** How many snapshot requests may wait while one is being taken. */
const QUEUE_LENGTH = 8;

/** How long a stopping server waits for clients to ask what became of their downloads. */
const LINGER_MS = 2000;

/**
 * prombackup-server without its socket: requests in, responses out. The command line runs the same
 * app within its own process when it works without a server.
 */
export class App {
  private readonly routes: readonly Route[];
  private readonly running = new RunningTransfers();
  private readonly instruments = new Instruments();
  private readonly compressor;
  private readonly verification: Verification | undefined;
  private readonly creator;
  private readonly leases;
  private readonly downloads: Downloads;
  private readonly pruneParts: PruneParts;
  private stopping = false;

  constructor(
    private readonly settings: AppSettings,
    private readonly state: State,
    private readonly log: Log,
  ) {
    const { snapshotDir, compression, checkWorkerUrl, prometheusEndpoint, snapshotTimeout } =
      settings;
    const prometheus = new Prometheus(prometheusEndpoint, settings.prometheusHttp);
    this.leases = new Leases(snapshotDir);
    const clock = new PruneClock();
    this.pruneParts = { snapshotDir, clock, state, instruments: this.instruments, log };
    this.downloads = new Downloads(state.history, {
      monotonic: () => performance.now(),
      wall: () => new Date(),
      age: (keepWithin) => clock.now(keepWithin),
    });
    for (const { id, snapshot_name, finished } of this.downloads.interrupted) {
      const error = finished?.error_text ?? undefined;
      log.error("download failed", { id, snapshot: snapshot_name, error });
    }
    this.compressor = createCompressor(compression);
    this.verification =
      checkWorkerUrl &&
      new Verification(checkWorkerUrl, {
        succeeded: () => state.succeeded("verification"),
        failed: () => this.instruments.verificationFailed(),
      });
    this.creator = new SnapshotCreator({
      ask: (skipHead, signal) => prometheus.createSnapshot(skipHead, signal),
      snapshotDir,
      leases: this.leases,
      timeLimit: snapshotTimeout,
      queueLength: QUEUE_LENGTH,
    });
    this.routes = this.makeRoutes(prometheus);
  }

  /** Starts what the first download would otherwise have to wait for. */
  prepare(): void {
    this.compressor.prepare();
  }

  /** Answers a request; never throws. */
  async fetch(request: Request, connection: Connection): Promise<Response> {
    const url = requestTarget(request);
    if (this.stopping && !ANSWERED_WHILE_STOPPING.includes(url.pathname)) {
      return textResponse(503, "prombackup-server is shutting down", { Connection: "close" });
    }
    return dispatch(this.routes, { request, url, ...connection });
  }

  /** Counts an answer, be it the app's own or the refusal of a request that never got to it. */
  answered(request: Request, response: Response): void {
    const { pathname } = requestTarget(request);
    this.instruments.answered(routeOf(this.routes, pathname), response.status);
  }

  /** One run of autoprune. */
  async prune(keepWithin: number): Promise<void> {
    await pruneAndLog(keepWithin, this.pruneParts);
  }

  /**
   * Takes no new work, lets downloads run on for at most `grace` milliseconds, then cuts them; they
   * are on record as failed. A client whose download still ended well can ask for its status.
   */
  async stop(grace: number): Promise<void> {
    this.stopping = true;
    this.creator.stop();
    const lingers = this.running.count > 0;
    const graceOver = new AbortController();
    const timer = setTimeout(() => graceOver.abort(), Math.min(grace, 2 ** 31 - 1));
    const over = new Promise<void>((resolve) =>
      graceOver.signal.addEventListener("abort", () => resolve()),
    );
    await Promise.race([this.running.ended(), over]);
    clearTimeout(timer);
    this.running.cutAll(new Failure("the server was stopped"));
    if (lingers) await this.downloads.allTold(LINGER_MS);
    this.close();
  }

  /** Lets go of all that it holds, the state that it was given too. */
  close(): void {
    this.leases.close();
    this.compressor.close();
    this.verification?.close();
    this.state.close();
  }

  private makeRoutes(prometheus: Prometheus): Route[] {
    const { log, creator, downloads, leases, compressor, verification, running } = this;
    const { state, instruments } = this;
    const { snapshotDir, maxDownloads, stallTimeout, limitRate } = this.settings;
    const slots = new DownloadSlots(maxDownloads);
    const served = { snapshotDir, compressor, verification, downloads, leases, running };
    const limit = limitRate === undefined ? undefined : new RateLimit(limitRate);
    const parts = { ...served, slots, state, stallTimeout, limit, instruments, log };
    const metrics = new MetricsHandler({
      instruments,
      downloads,
      running,
      state,
      snapshotDir,
      log,
    });
    const ready = () => handleReady(prometheus, snapshotDir);
    return [
      page(ROUTES.page, {
        GET: () => handlePage(snapshotDir, state, versionText("prombackup-server")),
      }),
      page(ROUTES.metrics, { "*": () => metrics.handle() }),
      page(ROUTES.healthy, { GET: handleHealthy, HEAD: handleHealthy }),
      page(ROUTES.ready, { GET: ready, HEAD: ready }),
      api(ROUTES.createSnapshot, {
        POST: (x) => handleCreateSnapshot(x, { creator, slots, state, instruments }),
      }),
      api(ROUTES.download, { GET: (x) => handleDownload(x, parts) }),
      api(ROUTES.downloadStatus, { GET: (x) => handleDownloadStatus(x, downloads) }),
      api(ROUTES.downloads, { GET: () => handleListDownloads(downloads) }),
      api(ROUTES.prune, { POST: (x) => handlePrune(x, this.pruneParts) }),
      api(ROUTES.snapshots, { GET: (x) => handleListSnapshots(x, snapshotDir, state) }),
      api(`${ROUTES.snapshots}/*`, {
        DELETE: (x) => handleRemoveSnapshot(x, snapshotDir, leases, log),
      }),
    ];
  }
}

const ANSWERED_WHILE_STOPPING: readonly string[] = [
  ROUTES.downloadStatus,
  ROUTES.healthy,
  ROUTES.metrics,
];

function page(path: RoutePath, methods: Route["methods"]): Route {
  return { path, methods, api: false, rights: neededRights(path) };
}

function api(path: RoutePath, methods: Route["methods"]): Route {
  return { path, methods, api: true, rights: neededRights(path) };
}

/** What the log tells of a request beside itself and its answer. */
export interface RequestFacts {
  readonly peer: string | undefined;
  /** Who has shown to be one. */
  readonly user: string | undefined;
  /** When it came, as performance.now tells it. */
  readonly since: number;
}

/**
 * Logs an answered request, one line each: refused ones with the cause, and as an error if it is ours.
 * A download that failed before its first byte has a line of its own.
 */
export function logRequest(
  log: Log,
  request: Request,
  response: Response,
  { peer, user, since }: RequestFacts,
): void {
  if (isLogged(response)) return;
  const { pathname, search } = requestTarget(request);
  const { status } = response;
  const fields = {
    method: request.method,
    path: pathname + search,
    status,
    peer,
    user,
    duration: `${((performance.now() - since) / 1000).toFixed(3)}s`,
    error: status >= 400 ? lineOf(response) : undefined,
  };
  if (status >= 500) log.error("request", fields);
  else if (status >= 400) log.warn("request", fields);
  else log.info("request", fields);
}

/** The answer to a request whose handling threw, which is a defect of ours: the cause is logged. */
export function defectResponse(log: Log, error: unknown): Response {
  log.error("a request failed unexpectedly", { error: errorText(error) });
  return textResponse(500, "internal error: see the server's log");
}
