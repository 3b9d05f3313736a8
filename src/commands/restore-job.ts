import { statSync } from "node:fs";
import type { Io } from "../lib/command-line/command.ts";
import { errorText, Failure, UsageError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { counted, formatSeconds } from "../lib/units.ts";
import type { Prometheus } from "../prometheus.ts";
import { examineDataDir } from "../restore/data-dir.ts";
import { type ArchiveInput, archiveInput } from "../restore/intake/archive-input.ts";
import { type SurveyedBlock, survey } from "../restore/intake/survey.ts";
import type { Request } from "../restore/plan/facts.ts";
import type { Plan } from "../restore/plan/plan.ts";
import { askPrometheus } from "../restore/plan/running-prometheus.ts";
import { awaitLoaded, type Loaded } from "../restore/put/loaded.ts";
import {
  checkCommand,
  doneText,
  type JsonResult,
  jsonOutcome,
  jsonPlan,
  planText,
} from "../restore/report.ts";
import { planRestore, restore } from "../restore/restore.ts";
import type { Restored, Surroundings } from "../restore/surroundings.ts";
import type { BlockChecks } from "../tsdb/checks.ts";

/** The Prometheus that runs, or will run, on the target. */
export interface AskedPrometheus {
  readonly client: Prometheus;
  /** What it takes to get in, for the command that asks it later. */
  readonly httpConfigFile: string | undefined;
}

/** What is said beside the request itself. */
interface JobOptions {
  readonly prometheus: AskedPrometheus | undefined;
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
    this.#file = file;
    this.#options = options;
    this.#world = world;
    this.#archive = archiveInput(file, world.signal);
    this.#request = request;
    this.#prometheus = options.prometheus?.client;
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
      await this.#afterwards(outcome);
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
      await this.#requireSameDirectory(prometheus);
    });
  }

  /** With --json, everything in one object at the very end, also if it fails. */
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
    this.#say(planText(this.#archive.name, plan));
  }

  #tellDone(outcome: Restored): void {
    Object.assign(this.#result, jsonOutcome(outcome));
    this.#say(doneText(outcome));
  }

  /** What is done and how it is undone has to be known at once, and the object comes after the waiting. */
  #say(text: string): void {
    if (this.#options.json) process.stderr.write(text);
    else this.#world.io.out(text);
  }

  /** Waits for a Prometheus that wasn't running, or looks whether a running one has taken the blocks. */
  async #afterwards({ dataDir, placing, blocks, running }: Restored): Promise<void> {
    const { log } = this.#world;
    const later = this.#checkCommand(placing.restored);
    if (this.#prometheus === undefined) return log.info(`start Prometheus, and then: ${later}`);
    if (running !== undefined && running.dataDir !== dataDir)
      return log.info(`whether Prometheus has loaded it: ${later}`);
    const { wait } = this.#options;
    const limit = formatSeconds(wait / 1000);
    if (running === undefined) log.info(`start Prometheus now: waiting up to ${limit} for it`);
    else log.info(`waiting up to ${limit} for Prometheus to load what was restored`);
    const loaded = await this.#loaded(this.#prometheus, blocks);
    if (loaded.state === "missing") throw new Failure(`restored, but ${loaded.why}`);
    if (loaded.state === "waiting")
      this.#warn(`restored, but not seen in use: ${loaded.why}; later: ${later}`);
  }

  /** Equal blocks may lie in two directories. */
  async #requireSameDirectory(prometheus: Prometheus): Promise<void> {
    const running = await askPrometheus(prometheus);
    if (running === undefined || running === "starting") return;
    const { path } = examineDataDir(this.#request.dataDir);
    const [other, own] = [running.dataDir, path].map((directory) =>
      statSync(directory, { throwIfNoEntry: false }),
    );
    if (other?.ino === own?.ino && other?.dev === own?.dev) return;
    const what = `Prometheus at ${running.url} runs on ${running.dataDir}, not on ${path}`;
    if (other !== undefined)
      throw new Failure(`${what}: name that with --data-dir, or start the other one`);
    this.#warn(`${what}: right if that is the same by another name, as in a container`);
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

  #checkCommand(restored: readonly string[]): string {
    const { skipDamaged, skipFuture } = this.#request;
    // Without names, all that the archive has is looked for.
    const only = skipDamaged || skipFuture ? restored : this.#request.only;
    // Without user and password: it is printed.
    const endpoint = this.#prometheus?.shown ?? "http://localhost:9090";
    const { httpConfigFile } = this.#options.prometheus ?? {};
    return checkCommand(this.#file, { ...this.#request, only }, endpoint, httpConfigFile);
  }
}
