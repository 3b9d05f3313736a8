import { lookup } from "node:dns/promises";
import type { Server } from "bun";
import { HEADERS } from "../api/contract.ts";
import { errorText, Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isLoopback } from "../lib/network/loopback.ts";
import { resetConnection, resetConnections, unsentBytes } from "../lib/network/tcp.ts";
import { startAutoprune } from "../snapshots/autoprune.ts";
import { checkSnapshotDir } from "../snapshots/check-dir.ts";
import { sweepLeftovers } from "../snapshots/remove.ts";
import type { HistoryLimits } from "../status/history.ts";
import { State } from "../status/state.ts";
import { Access } from "./access/access.ts";
import { crossSite, withheld } from "./access/cross-site.ts";
import { type Host, misdirected } from "./access/hosts.ts";
import type { AccessPaths } from "./access/load.ts";
import { App, type AppSettings, defectResponse, logRequest } from "./app.ts";
import { requireRate } from "./download/stall-guard.ts";
import { type Handlers, IDLE_SECONDS, type ListenAddress, Listener } from "./listener.ts";
import type { Connection } from "./router.ts";

export interface ServeSettings {
  readonly listen: ListenAddress;
  readonly autoprune: { readonly interval: number; readonly keepWithin: number } | undefined;
  /** Milliseconds that downloads may run on after a signal. */
  readonly shutdownGrace: number;
  readonly app: AppSettings;
  readonly access: AccessPaths;
  /** The Host values that are served; undefined: all. */
  readonly allowedHosts: readonly Host[] | undefined;
  /** Where the record of downloads is kept; undefined: in memory alone. */
  readonly stateDir: string | undefined;
  readonly history: HistoryLimits;
  readonly log: Log;
}

/** How often the files of the access configuration are looked at. */
const ACCESS_INTERVAL_MS = 500;

/** How long the last answers may take to leave. */
const LAST_ANSWERS_MS = 1000;

/** Reads `host:port`, `[::1]:port` or `:port`. */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain = "", digits = ""] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port > 65535) throw new Error("not host:port, [address]:port or :port");
  return { hostname: bracketed ?? (plain === "" ? undefined : plain), port };
}

/** Runs the server until SIGTERM or SIGINT has ended it. */
export async function serve(settings: ServeSettings): Promise<void> {
  const {
    log,
    app: { snapshotDir, limitRate, stallTimeout, maxDownloads },
  } = settings;
  if (limitRate !== undefined) requireRate(limitRate, stallTimeout, maxDownloads);
  await checkSnapshotDir(snapshotDir, log);
  const access = await Access.open(settings.access, log);
  await finishRemovals(snapshotDir, log);
  const state = State.open(settings.stateDir, settings.history, log);
  const app = new App(settings.app, state, log);
  const stopSignal = nextStopSignal();
  const { hostname } = settings.listen;
  const addresses = await resolved(hostname);
  const listener = new Listener(settings.listen, access.tls, handlers(app, access, settings));
  access.onTls((tls) => listener.replaceTls(tls));
  // The usual signal to read a configuration anew; without a handler it would end the process.
  process.on("SIGHUP", () => void access.refresh(true));
  const refresher = setInterval(() => void access.refresh(true), ACCESS_INTERVAL_MS);
  if (access.open && !addresses.every(isLoopback)) warnOfOpenness(hostname, log);
  log.info("listening", {
    address: shownAddress(hostname, listener.port),
    tls: access.tls === undefined ? undefined : true,
  });
  app.prepare();
  const { autoprune } = settings;
  const pruner =
    autoprune &&
    startAutoprune({
      interval: autoprune.interval,
      run: () => app.prune(autoprune.keepWithin),
      onError: (error) => log.error("autoprune failed", { error: errorText(error) }),
    });
  log.info("stopping", { signal: await stopSignal, grace_seconds: settings.shutdownGrace / 1000 });
  pruner?.stop();
  const graceEnds = performance.now() + settings.shutdownGrace;
  await app.stop(settings.shutdownGrace);
  clearInterval(refresher);
  // What is on its way gets out; of a client that doesn't take it, nothing must look like a clean end.
  const timeLeft = Math.max(graceEnds - performance.now(), LAST_ANSWERS_MS);
  const cut = Promise.withResolvers<void>();
  const cutter = setTimeout(() => {
    resetConnections(listener.port);
    cut.resolve();
  }, timeLeft);
  await Promise.race([listener.stop(), cut.promise]);
  clearTimeout(cutter);
  await listener.cut();
  log.info("stopped");
}

/** What an earlier server didn't get to delete. That it can't be deleted keeps none from serving. */
async function finishRemovals(snapshotDir: string, log: Log): Promise<void> {
  try {
    for (const name of await sweepLeftovers(snapshotDir)) {
      log.info("finished the removal of a snapshot", { name });
    }
  } catch (error) {
    log.warn("the removal of a snapshot could not be finished", { error: errorText(error) });
  }
}

/** The addresses of a host to listen on. Bun tells one that can't be resolved as a connection that was reset. */
async function resolved(hostname: string | undefined): Promise<string[]> {
  if (hostname === undefined) return ["::"];
  const found = await lookup(hostname, { all: true }).catch((cause: unknown) => {
    throw new Failure(
      `can't listen on ${hostname}: the name can't be resolved: give --listen-address an address of this machine`,
      { cause },
    );
  });
  return found.map(({ address }) => address);
}

/** What becomes of a request on the network: who may come in, the app's answer, a line in the log. */
function handlers(app: App, access: Access, { allowedHosts, log }: ServeSettings): Handlers {
  const finished = (response: Response) => access.decorate(withheld(response));
  return {
    fetch: async (request, server) => {
      const since = performance.now();
      const connection = connectionOf(request, server);
      // Before a password is looked at: a browser sends it along, whoever made it send the request.
      const refusal = misdirected(request, allowedHosts) ?? crossSite(request);
      // A password may wait for its check for longer than a connection may be silent.
      server.timeout(request, 0);
      const admission = refusal === undefined ? await access.admit(request) : { refusal };
      server.timeout(request, IDLE_SECONDS);
      const response =
        "refusal" in admission
          ? admission.refusal
          : await app.fetch(request, { ...connection, rights: admission.rights });
      const user = "user" in admission ? admission.user : undefined;
      app.answered(request, response);
      logRequest(log, request, response, { peer: connection.peer, user, since });
      // A limit that was lifted stays so, for an idle client too; a download has a guard of its own.
      if (!response.headers.has(HEADERS.downloadId)) server.timeout(request, IDLE_SECONDS);
      return finished(response);
    },
    error: (error) => finished(defectResponse(log, error)),
  };
}

function warnOfOpenness(hostname: string | undefined, log: Log): void {
  log.warn(
    "everyone who reaches this address can take and remove snapshots: set basic_auth_users in a --web.config.file, or listen on loopback behind a proxy",
    { address: hostname ?? "all interfaces" },
  );
}

function connectionOf(request: Request, server: Server<undefined>): Omit<Connection, "rights"> {
  const peer = server.requestIP(request);
  const port = server.port ?? 0;
  return {
    peer: peer?.address,
    holdOpen: () => server.timeout(request, 0),
    unsent: () => (peer === null ? undefined : unsentBytes(port, peer)),
    copies: true,
    reset: () => peer !== null && resetConnection(port, peer),
  };
}

/** Bun calls all interfaces "localhost". */
function shownAddress(asked: string | undefined, port: number | undefined): string {
  const hostname = asked ?? "::";
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** The handlers stay, so that a second signal doesn't end the process in the middle of its stop. */
function nextStopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve(signal));
  });
}
