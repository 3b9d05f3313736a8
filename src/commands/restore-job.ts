import type { Io } from "../lib/command-line/command.ts";
import { errorText, Failure, UsageError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { HttpConfig } from "../lib/network/http-config.ts";
import { counted, formatSeconds } from "../lib/units.ts";
import { Prometheus } from "../prometheus.ts";
import { examineDataDir } from "../restore/data-dir.ts";
import { type ArchiveInput, archiveInput } from "../restore/intake/archive-input.ts";
import { type SurveyedBlock, survey } from "../restore/intake/survey.ts";
import type { Request } from "../restore/plan/facts.ts";
import type { Plan } from "../restore/plan/plan.ts";
import { awaitLoaded, type Loaded } from "../restore/put/loaded.ts";
import type { Recovered } from "../restore/put/recover.ts";
import {
  checkCommand,
  doneText,
  type JsonResult,
  jsonOutcome,
  jsonPlan,
  planText,
} from "../restore/report.ts";
import { planRestore, type Restored, restore, type Surroundings } from "../restore/restore.ts";
import type { BlockChecks } from "../tsdb/checks.ts";

/** What is said beside the request itself. */
interface JobOptions {
  readonly endpoint: URL | undefined;
  /** How to get in there, if that takes more than the URL. */
  readonly http: HttpConfig | undefined;
  /** Milliseconds. */
  readonly wait: number;
  readonly json: boolean;
}

interface World {
  readonly log: Log;
  readonly io: Io;
  readonly checks: BlockChecks;
  readonly signal: AbortSignal;
}

/** One run of `restore`: what was asked for, and what is told of it. */
export class RestoreJob {
  readonly #file: string;
  readonly #options: JobOptions;
  readonly #world: World;
  readonly #archive: ArchiveInput;
  readonly #request: Request;
  readonly #prometheus: Prometheus | undefined;
  readonly #surroundings: Surroundings;
  readonly #result: JsonResult;

  constructor(file: string, request: Request, options: JobOptions, world: World) {
    const { endpoint, http } = options;
    this.#file = file;
    this.#options = options;
    this.#world = world;
    this.#archive = archiveInput(file, world.signal);
    this.#request = request;
    this.#prometheus = endpoint && new Prometheus(endpoint, http);
    this.#result = { archive: file, warnings: [] };
    this.#surroundings = {
      prometheus: this.#prometheus,
      checks: world.checks,
      signal: world.signal,
      now: new Date(),
      onPlan: (plan) => this.#tellPlan(plan),
      warn: (message) => this.#warn(message),
    };
  }

  plan(): Promise<void> {
    return this.#telling(async () => {
      await planRestore(this.#archive, this.#request, this.#surroundings);
    });
  }

  restore(): Promise<void> {
    return this.#telling(async () => {
      const outcome = await restore(this.#archive, this.#request, this.#surroundings);
      this.#tellDone(outcome);
      if ("plan" in outcome) await this.#afterwards(outcome);
    });
  }

  check(): Promise<void> {
    const prometheus = this.#prometheus;
    if (prometheus === undefined) throw new UsageError("--check needs --prometheus-endpoint");
    return this.#telling(async () => {
      const { blocks } = await survey(this.#archive.read());
      const only = this.#request.only;
      const expected = blocks.filter(({ ulid }) => only?.includes(ulid) ?? true);
      const loaded = await this.#loaded(prometheus, expected);
      if (loaded.state !== "loaded") throw new Failure(loaded.why);
    });
  }

  /** With --json, everything in one object at the end, also if it fails. */
  async #telling(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#result.error = errorText(error);
      throw error;
    } finally {
      if (this.#options.json) this.#world.io.out(`${JSON.stringify(this.#result, null, 2)}\n`);
    }
  }

  #tellPlan(plan: Plan): void {
    this.#result.plan = jsonPlan(plan);
    if (!this.#options.json) this.#world.io.out(planText(this.#archive.name, plan));
  }

  #tellDone(outcome: Restored | Recovered): void {
    Object.assign(this.#result, jsonOutcome(outcome));
    if (!this.#options.json) this.#world.io.out(doneText(outcome));
  }

  /** Waits for a Prometheus that wasn't running, or looks whether a running one has taken the blocks. */
  async #afterwards({ plan, restored }: Restored): Promise<void> {
    const { log } = this.#world;
    if (this.#prometheus === undefined)
      return log.info(`start Prometheus, and then: ${this.#checkCommand()}`);
    const { running } = plan;
    if (running !== undefined && running.dataDir !== plan.dataDir)
      return log.info(`whether Prometheus has loaded it: ${this.#checkCommand()}`);
    const { wait } = this.#options;
    const limit = formatSeconds(wait / 1000);
    if (running === undefined) log.info(`start Prometheus now: waiting up to ${limit} for it`);
    else log.info(`waiting up to ${limit} for Prometheus to load what was restored`);
    const expected = plan.blocks.filter(({ ulid }) => restored.includes(ulid));
    const loaded = await this.#loaded(this.#prometheus, expected);
    if (loaded.state === "missing") throw new Failure(`restored, but ${loaded.why}`);
    if (loaded.state === "waiting")
      this.#warn(`restored, but not seen in use: ${loaded.why}; later: ${this.#checkCommand()}`);
  }

  async #loaded(prometheus: Prometheus, expected: readonly SurveyedBlock[]): Promise<Loaded> {
    const { signal, log } = this.#world;
    const { path } = examineDataDir(this.#request.dataDir);
    const loaded = await awaitLoaded(prometheus, path, expected, this.#options.wait, signal);
    this.#result.prometheus = loaded;
    if (loaded.state === "loaded") {
      const what = `the ${counted(expected.length, "block")} of the archive among ${loaded.blocks}`;
      log.info(`Prometheus is ready and has loaded ${what}`);
    }
    return loaded;
  }

  #warn(message: string): void {
    this.#result.warnings.push(message);
    this.#world.log.warn(message);
  }

  #checkCommand(): string {
    // Without user and password: it is printed.
    const endpoint = this.#prometheus?.shown ?? "http://localhost:9090";
    return checkCommand(this.#file, this.#request, endpoint, this.#options.http?.path);
  }
}
