import { type Command, command } from "../lib/command-line/command.ts";
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
} from "../lib/command-line/flags.ts";
import { interruptible } from "../lib/command-line/interrupt.ts";
import { UsageError } from "../lib/errors.ts";
import { parseOwner } from "../restore/ownership.ts";
import type { Request } from "../restore/plan/facts.ts";
import { parseRetention } from "../restore/plan/retention.ts";
import { isUlid } from "../tsdb/meta.ts";
import { withChecks } from "./checks.ts";
import { type CommandContext, openHttpConfig } from "./connection.ts";
import { RestoreJob } from "./restore-job.ts";

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
  "prometheus.http.config.file": optional(text, {
    description:
      "How to get into that Prometheus: user and password, or a token, certificates, headers, in the form of promtool's --http.config.file.",
    valueHint: "FILE",
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
export function restoreCommand({ log, checkWorkerUrl }: CommandContext): Command {
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
      withChecks("structure", checkWorkerUrl, (checks) =>
        interruptible(async (signal) => {
          const { "prometheus-endpoint": endpoint, wait, json } = options;
          const httpConfig = options["prometheus.http.config.file"];
          if (httpConfig !== undefined && endpoint === undefined)
            throw new UsageError("--prometheus.http.config.file needs --prometheus-endpoint");
          const http = await openHttpConfig(httpConfig);
          const job = new RestoreJob(
            file,
            requestOf(options),
            { endpoint, http, wait, json },
            { log, io, checks, signal },
          );
          if (options.check) return job.check();
          return options["dry-run"] ? job.plan() : job.restore();
        }),
      ),
  });
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
