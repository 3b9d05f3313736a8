import type { PruneAnswer } from "../api/contract.ts";
import { parseDuration } from "../lib/duration.ts";
import { Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { PruneClock } from "../snapshots/clock.ts";
import { type PruneResult, pruneSnapshots } from "../snapshots/prune.ts";
import type { State } from "../status/state.ts";
import type { Instruments } from "./metrics/instruments.ts";
import { parsedParameter, requestParameters } from "./parameters.ts";
import { HttpError, jsonResponse } from "./respond.ts";
import type { Exchange } from "./router.ts";

/** What a prune needs of the server. */
export interface PruneParts {
  readonly snapshotDir: string;
  /** One for the life of the server, so that a jump of the wall clock is seen. */
  readonly clock: PruneClock;
  readonly state: State;
  readonly instruments: Instruments;
  readonly log: Log;
}

/** `POST /api/prune`: removes the snapshots that are old enough and not in use. */
export async function handlePrune(
  { request, url, holdOpen }: Exchange,
  parts: PruneParts,
): Promise<Response> {
  const parameters = await requestParameters(request, url);
  const unknown = [...parameters.keys()].find((name) => name !== "keep_within");
  if (unknown !== undefined)
    throw new HttpError(400, `unknown parameter ${JSON.stringify(unknown)}: there is keep_within`);
  const given = parameters.getAll("keep_within");
  // Only one that isn't there at all stands for 0: a slip must not prune everything.
  if (given.length > 1 || given[0] === "") {
    throw new HttpError(
      400,
      `Parsing keep_within: invalid duration ${JSON.stringify(given.join(","))}`,
    );
  }
  const keepWithin = parsedParameter(parameters, "keep_within", parseDuration) ?? 0;
  if (keepWithin < 0) throw new HttpError(400, "KeepWithin must be larger than or equal to zero");
  holdOpen();
  return jsonResponse(await pruneAndLog(keepWithin, parts));
}

/**
 * Prunes, and logs what was done; also what autoprune does. All that can be removed is, before a
 * failure with one of them is thrown.
 */
export async function pruneAndLog(keepWithin: number, parts: PruneParts): Promise<PruneAnswer> {
  const { snapshotDir, clock, state, instruments, log } = parts;
  const options = { keepWithin, now: clock.now(keepWithin) };
  const result = await pruneSnapshots(snapshotDir, options).catch((error: unknown) => {
    instruments.pruneEnded("failure", 0);
    throw error;
  });
  const { removed, kept, failed } = result;
  logResult(result, log);
  instruments.pruneEnded(failed.length === 0 ? "success" : "failure", removed.length);
  if (failed.length > 0) {
    const causes = failed.map(({ error }) => error).join("; ");
    throw new Failure(
      `${removed.length} snapshots pruned, ${failed.length} could not be: ${causes}`,
    );
  }
  state.succeeded("prune");
  return { removed, kept };
}

function logResult({ removed, kept, ignored, swept }: PruneResult, log: Log): void {
  for (const name of swept) log.info("finished the removal of a snapshot", { name });
  for (const name of removed) log.info("snapshot pruned", { snapshot: name });
  for (const { name, reason } of kept) log.info("snapshot kept", { snapshot: name, reason });
  for (const name of ignored) log.info("not a snapshot, left alone", { name });
}
