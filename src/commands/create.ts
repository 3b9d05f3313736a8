import { ARCHIVE_FORMATS } from "../archive/format.ts";
import { type Backup, createBackup, DamagedBackup } from "../backup/create.ts";
import { type Command, command, type Io } from "../lib/command-line/command.ts";
import {
  byteRate,
  choiceOfBoolean,
  defaulted,
  durationFrom,
  oneOf,
  optional,
  text,
  toggle,
  wholeNumberFrom,
} from "../lib/command-line/flags.ts";
import { errorText, UsageError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { counted, formatBytes } from "../lib/units.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import { withChecks } from "./checks.ts";
import { type CommandContext, connectionFlags, withConnection } from "./connection.ts";

/** `create`: takes a snapshot, downloads it, and proves that it arrived whole. */
export function createCommand(context: CommandContext): Command {
  return command({
    name: "create",
    description: "Takes a snapshot and downloads it as an archive.",
    details:
      "The target is not touched until the archive is complete, proven by its SHA-256 to be what the server sent, and on disk. If anything fails, the directory is as it was before.",
    flags: {
      ...connectionFlags,
      format: defaulted(oneOf(ARCHIVE_FORMATS), "tar", {
        description: "The archive's format: tar; tgz (gzip); or tzst (zstd), smaller and faster.",
        valueHint: "FORMAT",
      }),
      output: optional(text, {
        description:
          'Where to write the archive; "-" is standard output. Without it, a file in the current directory under the server\'s name for it, which must not exist yet.',
        valueHint: "FILE",
      }),
      "skip-head": toggle({
        description: "Leave out the newest data, which is not in a block yet.",
      }),
      verify: toggle({
        description:
          "Check the blocks while they arrive, as prombackup verify does, before the archive gets its name. A damaged one is a failure: exit status 3.",
      }),
      "limit-rate": optional(byteRate, {
        description:
          "The most bytes per second that are downloaded; K, M and G stand for KiB, MiB and GiB.",
        valueHint: "RATE",
      }),
      "checksum-file": toggle({
        description:
          "Write FILE.sha256 too, for sha256sum -c and for prombackup verify. One of a single line that is there already is kept true in any case.",
      }),
      "remove-snapshot": choiceOfBoolean({
        description:
          "Remove the snapshot afterwards, also after a failure. The default with --snapshot-dir; --remove-snapshot=false keeps it.",
      }),
      retries: defaulted(wholeNumberFrom(0), "0", {
        description:
          "How often to try again what the network or a busy server broke, after pauses that grow from a second to a minute. The snapshot that was taken is downloaded again; none is taken twice.",
        valueHint: "NUMBER",
      }),
      "stall-timeout": defaulted(durationFrom(1), "10m", {
        description: "Give up a download of which nothing comes for so long.",
        valueHint: "DURATION",
      }),
      "snapshot-timeout": defaulted(durationFrom(1), "30m", {
        description: "Give up waiting for the snapshot after this time.",
        valueHint: "DURATION",
      }),
      json: toggle({
        description:
          "Tell the result as JSON on standard output; what --verify found in a damaged backup, too.",
      }),
    },
    run: (options, _operand, io) => {
      const { output, json } = options;
      if (output === "-" && json)
        throw new UsageError("--json and --output - both want standard output");
      if (output === "-" && options["checksum-file"]) {
        throw new UsageError("--checksum-file needs a file, and --output is standard output");
      }
      const limits = { answer: options["snapshot-timeout"], silence: options["stall-timeout"] };
      return withConnection({ ...options, limits }, context, async ({ client, local, signal }) => {
        const request = {
          output,
          format: options.format,
          skipHead: options["skip-head"],
          checksumFile: options["checksum-file"],
          limitRate: options["limit-rate"],
          removeSnapshot: options["remove-snapshot"] ?? local,
          retries: options.retries,
        };
        const make = (checks: BlockChecks | undefined) =>
          createBackup(client, { ...request, checks }, context.log, signal);
        const making = options.verify
          ? withChecks("structure", context.checkWorkerUrl, make)
          : make(undefined);
        if (!json) return tell(await making, context.log);
        io.out(`${JSON.stringify(await making.catch(damageOf(io)), null, 2)}\n`);
      });
    },
  });
}

/** What `--json` prints of a backup that is damaged, before that is told like any failure. */
function damageOf(io: Io): (error: unknown) => never {
  return (error) => {
    if (error instanceof DamagedBackup) {
      const { snapshot, verified } = error;
      const report = { snapshot, error: errorText(error), verified };
      io.out(`${JSON.stringify(report, null, 2)}\n`);
    }
    throw error;
  };
}

function tell(backup: Backup, log: Log): void {
  const { file, bytes, snapshot, sha256, verified } = backup;
  for (const warning of verified?.warnings ?? []) log.warn(warning);
  const checked = verified === null ? "" : `, ${counted(verified.blocks, "block")} verified`;
  log.info(
    `wrote ${file ?? "standard output"} (${formatBytes(bytes)}), snapshot ${snapshot}, SHA-256 ${sha256}${checked}`,
  );
}
