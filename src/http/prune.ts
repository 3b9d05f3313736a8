import type { PruneAnswer } from "../api/contract.ts";
import { parseDuration } from "../lib/duration.ts";
import { Failure } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { pruneSnapshots } from "../snapshots/prune.ts";
import { parsedParameter, requestParameters } from "./parameters.ts";
import { HttpError, jsonResponse } from "./respond.ts";
import type { Exchange } from "./router.ts";

/** `POST /api/prune`: removes the snapshots that are old enough and not in use. */
export async function handlePrune(
  { request, url, holdOpen }: Exchange,
  snapshotDir: string,
  log: Log,
): Promise<Response> {
  const parameters = await requestParameters(request, url);
  const keepWithin = parsedParameter(parameters, "keep_within", parseDuration) ?? 0;
  if (keepWithin < 0) throw new HttpError(400, "KeepWithin must be larger than or equal to zero");
  holdOpen();
  return jsonResponse(await pruneAndLog(snapshotDir, keepWithin, log));
}

/**
 * Prunes, and logs what was done; also what autoprune does. All that can be removed is, before a
 * failure with one of them is thrown.
 */
export async function pruneAndLog(
  snapshotDir: string,
  keepWithin: number,
  log: Log,
): Promise<PruneAnswer> {
  const { removed, kept, ignored, failed } = await pruneSnapshots(snapshotDir, { keepWithin });
  for (const name of removed) log.info("snapshot pruned", { snapshot: name });
  for (const { name, reason } of kept) log.info("snapshot kept", { snapshot: name, reason });
  for (const name of ignored) log.info("not a snapshot, left alone", { name });
  if (failed.length > 0) {
    const causes = failed.map(({ name, error }) => `${name}: ${error}`).join("; ");
    throw new Failure(
      `${removed.length} snapshots pruned, ${failed.length} could not be: ${causes}`,
    );
  }
  return { removed, kept };
}
