import type { Prometheus } from "../prometheus.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import type { SurveyedBlock } from "./intake/survey.ts";
import type { Plan } from "./plan/plan.ts";
import type { RunningPrometheus } from "./plan/running-prometheus.ts";
import type { DamagedBlock } from "./stage/damage.ts";
import type { Placing } from "./stage/placing.ts";

/** What a restore needs of the program around it. */
export interface Surroundings {
  readonly prometheus: Prometheus | undefined;
  /** Where extracted blocks are checked. */
  readonly checks: BlockChecks;
  readonly signal: AbortSignal;
  readonly now: Date;
  /** Called once, with the plan, before anything is changed but the staging directory. */
  readonly onPlan: (plan: Plan) => void;
  readonly warn: (message: string) => void;
}

/** What was done. */
export interface Restored {
  /** Absolute. */
  readonly dataDir: string;
  /** Of no blocks: all of it was there already. */
  readonly placing: Placing;
  /** It was an earlier run's, which had been interrupted near its end: this one has finished it. */
  readonly finished: boolean;
  /** What the archive tells of the blocks that were put in place. */
  readonly blocks: readonly SurveyedBlock[];
  readonly leftOut: readonly DamagedBlock[];
  /** The Prometheus that was asked. */
  readonly running: RunningPrometheus | undefined;
}
