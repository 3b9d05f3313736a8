import type { DataDir } from "../data-dir.ts";
import type { Survey } from "../intake/survey.ts";
import type { Owner } from "../ownership.ts";
import type { Retention } from "./retention.ts";
import type { RunningPrometheus } from "./running-prometheus.ts";

/** What a restore is asked to do, beside the archive. */
export interface Request {
  readonly dataDir: string;
  readonly mode: "new" | "replace" | "merge" | "blocks";
  /** Which blocks; all if undefined. With `blocks`, those of the same name may be replaced. */
  readonly only: readonly string[] | undefined;
  readonly replaceBlocks: boolean;
  readonly owner: Owner | undefined;
  readonly retention: Retention | undefined;
  /** As told by the operator. */
  readonly prometheusVersion: string | undefined;
  readonly skipDamaged: boolean;
  readonly skipUnknown: boolean;
  readonly skipFuture: boolean;
  readonly acceptRetentionLoss: boolean;
  readonly acceptOverlap: boolean;
}

/** What was found before anything is done. */
export interface Facts {
  readonly target: DataDir;
  /** The path of the archive, no part of it a symbolic link; undefined for standard input. */
  readonly archive: string | undefined;
  readonly survey: Survey;
  readonly running: RunningPrometheus | "starting" | undefined;
  /** Who has files of the target open. */
  readonly users: readonly string[];
  /** The blocks have been written already: they came from standard input. */
  readonly staged?: boolean;
  /** Nothing will be done: a Prometheus that runs is no obstacle yet. */
  readonly dryRun: boolean;
  readonly now: Date;
}
