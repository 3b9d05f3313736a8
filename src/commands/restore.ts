import { type Command, command, type Io } from "../lib/command.ts";
import { errorText, Failure, UsageError } from "../lib/errors.ts";
import {
  defaulted,
  durationFrom,
  type FlagValues,
  httpUrl,
  list,
  optional,
  required,
  text,
  toggle,
} from "../lib/flags.ts";
import { interruptible } from "../lib/interrupt.ts";
import type { Log } from "../lib/log.ts";
import { counted, formatSeconds } from "../lib/units.ts";
import { Prometheus } from "../prometheus.ts";
import { type ArchiveInput, archiveInput } from "../restore/archive-input.ts";
import { examineDataDir } from "../restore/data-dir.ts";
import { awaitLoaded, type Loaded } from "../restore/loaded.ts";
import { parseOwner } from "../restore/ownership.ts";
import type { Plan, Request } from "../restore/plan.ts";
import type { Recovered } from "../restore/recover.ts";
import {
  checkCommand,
  doneText,
  type JsonResult,
  jsonOutcome,
  jsonPlan,
  planText,
} from "../restore/report.ts";
import { planRestore, type Restored, restore, type Surroundings } from "../restore/restore.ts";
import { parseRetention } from "../restore/retention.ts";
import { type SurveyedBlock, survey } from "../restore/survey.ts";
import { isUlid } from "../tsdb/meta.ts";
import type { CommandContext } from "./connection.ts";

const flags = {
  "data-dir": required(text, {
    description: "Prometheus's data directory: its --storage.tsdb.path.",
    valueHint: "DIR",
  }),
  "dry-run": toggle({ description: "Print the plan and change nothing." }),
  replace: toggle({
    description:
      "The directory may hold something: it is moved aside and kept. With --block, only blocks of the same name are.",
    excludes: ["merge"],
  }),
  merge: toggle({
    description: "Add the blocks that the directory lacks, and leave the rest of it alone.",
  }),
  block: list(ulid, {
    description:
      "Restore this block alone, also while Prometheus runs. May be given several times.",
    valueHint: "ULID",
    excludes: ["merge"],
  }),
  "prometheus-endpoint": optional(httpUrl, {
    description:
      "Base URL of the Prometheus that runs, or will run, on the directory: asked for its configuration; afterwards, whether it has loaded the blocks.",
    valueHint: "URL",
  }),
  wait: defaulted(durationFrom(0), "2m", {
    description: "How long to wait for Prometheus to be started and to load the blocks.",
    valueHint: "DURATION",
  }),
  check: toggle({
    description:
      "Restore nothing: tell whether the Prometheus at --prometheus-endpoint has loaded the archive's blocks from the directory.",
    excludes: ["dry-run", "replace", "merge"],
  }),
  retention: optional(parseRetention, {
    description:
      "What Prometheus keeps, if it can't be asked: a time (30d), a size (50GB), a percentage (80%), or several with commas.",
    valueHint: "LIMIT",
  }),
  "prometheus-version": optional(text, {
    description: "The version that will read the blocks, if it can't be asked.",
    valueHint: "VERSION",
  }),
  owner: optional(parseOwner, {
    description:
      "To whom the files belong. Without it, to the owner of the directory, or of its parent.",
    valueHint: "USER[:GROUP]",
  }),
  "skip-damaged": toggle({ description: "Leave damaged blocks out, and say what is lost." }),
  "skip-future-blocks": toggle({ description: "Leave out blocks of the future." }),
  "skip-unknown": toggle({ description: "Leave out files that are no part of a snapshot." }),
  "accept-retention-loss": toggle({
    description: "Restore blocks that Prometheus will soon delete.",
  }),
  "accept-overlap": toggle({
    description: "Restore overlapping blocks where Prometheus doesn't merge them.",
  }),
  json: toggle({ description: "Tell the plan and the result as JSON on standard output." }),
};

type Options = FlagValues<typeof flags>;

/** `restore`: brings the blocks of an archive back into a data directory. */
export function restoreCommand({ log }: CommandContext): Command {
  return command({
    name: "restore",
    description: "Restores an archive into a data directory of Prometheus.",
    details:
      "Prints its plan, then checks every block while it extracts it beside its place, and puts all of it in place in one step at the end: interrupted at any moment, it leaves the old state or the new one, and the same command again finishes the work. Stop Prometheus first; only --block works while it runs. Nothing is overwritten or deleted: what was there is kept, and the line that undoes it is printed.\nExit status 3: the archive is damaged.",
    operand: {
      name: "ARCHIVE",
      description:
        'The archive, in any of the formats. "-" is standard input, which is extracted before the plan is printed.',
      required: true,
    },
    flags,
    run: (options, file = "-", io) =>
      interruptible(async (signal) => {
        const job = new Job(file, options, { log, io, signal });
        if (options.check) return job.check();
        return options["dry-run"] ? job.plan() : job.restore();
      }),
  });
}

interface World {
  readonly log: Log;
  readonly io: Io;
  readonly signal: AbortSignal;
}

/** One run: what was asked for, and what is to be told of it. */
class Job {
  readonly #file: string;
  readonly #options: Options;
  readonly #world: World;
  readonly #archive: ArchiveInput;
  readonly #request: Request;
  readonly #prometheus: Prometheus | undefined;
  readonly #surroundings: Surroundings;
  readonly #result: JsonResult;

  constructor(file: string, options: Options, world: World) {
    const endpoint = options["prometheus-endpoint"];
    this.#file = file;
    this.#options = options;
    this.#world = world;
    this.#archive = archiveInput(file, world.signal);
    this.#request = requestOf(options);
    this.#prometheus = endpoint && new Prometheus(endpoint);
    this.#result = { archive: file, warnings: [] };
    this.#surroundings = {
      prometheus: this.#prometheus,
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
  async #afterwards({ plan, restored, running }: Restored): Promise<void> {
    const { log } = this.#world;
    if (this.#prometheus === undefined)
      return log.info(`start Prometheus, and then: ${this.#checkCommand()}`);
    if (running !== undefined && running.dataDir !== plan.dataDir) return;
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
    const endpoint = this.#options["prometheus-endpoint"]?.href ?? "http://localhost:9090";
    return checkCommand(this.#file, this.#request, endpoint);
  }
}

function requestOf(options: Options): Request {
  const { replace, merge, block } = options;
  return {
    dataDir: options["data-dir"],
    mode: block ? "blocks" : merge ? "merge" : replace ? "replace" : "new",
    only: block,
    replaceBlocks: replace,
    owner: options.owner,
    retention: options.retention,
    prometheusVersion: options["prometheus-version"],
    skipDamaged: options["skip-damaged"],
    skipUnknown: options["skip-unknown"],
    skipFuture: options["skip-future-blocks"],
    acceptRetentionLoss: options["accept-retention-loss"],
    acceptOverlap: options["accept-overlap"],
  };
}

function ulid(value: string): string {
  if (!isUlid(value)) throw new Error(`${JSON.stringify(value)} is not the name of a block`);
  return value;
}
