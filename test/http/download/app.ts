import { ALL_RIGHTS } from "../../../src/http/access/rights.ts";
import { App } from "../../../src/http/app.ts";
import { DEFAULT_HISTORY } from "../../../src/status/history.ts";
import { State } from "../../../src/status/state.ts";
import { WORKER_URL } from "../../archive/write-support.ts";
import { snapshotDir } from "../../e2e/support.ts";
import { atEnd } from "../../support/at-end.ts";

/** A connection of the network, where a piece is copied before the next one is asked for. */
export const NETWORK = {
  peer: "192.0.2.1",
  rights: ALL_RIGHTS,
  holdOpen: () => {},
  unsent: () => 0,
  copies: true,
  reset: () => true,
};

const quiet = { info() {}, warn() {}, error() {} };

/** An app with a snapshot of 5 MB. */
export function makeApp({ limitRate }: { readonly limitRate?: number } = {}): App {
  const settings = {
    prometheusEndpoint: new URL("http://127.0.0.1:1"),
    prometheusHttp: undefined,
    snapshotDir: snapshotDir(5_000_000, "random"),
    snapshotTimeout: 1000,
    maxDownloads: 20,
    stallTimeout: 60_000,
    compression: { workerUrl: WORKER_URL, threads: 1 },
    limitRate,
    checkWorkerUrl: undefined,
  };
  const app = new App(settings, State.open(undefined, DEFAULT_HISTORY, quiet), quiet);
  atEnd(() => app.close());
  return app;
}
