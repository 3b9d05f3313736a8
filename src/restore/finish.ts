import { Failure } from "../lib/errors.ts";
import { examineDataDir } from "./data-dir.ts";
import type { ArchiveInput } from "./intake/archive-input.ts";
import { type Survey, survey } from "./intake/survey.ts";
import type { Request } from "./plan/facts.ts";
import { askPrometheus } from "./plan/running-prometheus.ts";
import { recover } from "./put/recover.ts";
import { asidePath } from "./put/undo.ts";
import type { Placing } from "./stage/placing.ts";
import type { Restored, Surroundings } from "./surroundings.ts";

/**
 * Ends what an interrupted run began.
 *
 * @param known what is known of the archive; standard input is read to its end to know it
 * @returns undefined if something is left to be done
 * @throws Failure if standard input has been read, and is to be restored yet
 */
export async function finishInterrupted(
  archive: ArchiveInput,
  known: Survey | undefined,
  request: Request,
  surroundings: Surroundings,
): Promise<Restored | undefined> {
  const { path } = examineDataDir(request.dataDir);
  const placing = recover(path, surroundings.now);
  if (placing === undefined) return undefined;
  const { snapshot, blocks } = known ?? (await survey(archive.read()));
  if (placing.snapshot === snapshot && isAsked(placing, request)) {
    const { prometheus } = surroundings;
    const running = prometheus && (await askPrometheus(prometheus));
    return {
      ...{ dataDir: path, placing, finished: true, leftOut: [] },
      blocks: blocks.filter(({ ulid }) => placing.restored.includes(ulid)),
      running: running === "starting" ? undefined : running,
    };
  }
  const kept = asidePath(path, placing);
  const what = `finished another restore into ${path}, which had been interrupted${kept === undefined ? "" : `: what was there before it is in ${kept}`}`;
  if (known === undefined) throw new Failure(`${what}: this one is left to do: run it again`);
  surroundings.warn(what);
  return undefined;
}

/** Whether what was put in place is what is asked for, given that it is of the same snapshot. */
function isAsked({ way, mode, restored }: Placing, request: Request): boolean {
  if (way !== "insert") return true;
  if (request.only !== undefined) return request.only.every((ulid) => restored.includes(ulid));
  return mode === request.mode;
}
