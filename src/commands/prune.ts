import type { PruneAnswer } from "../api/contract.ts";
import { type Command, command } from "../lib/command-line/command.ts";
import { defaulted, durationFrom, toggle } from "../lib/command-line/flags.ts";
import type { Log } from "../lib/log.ts";
import { type CommandContext, connectionFlags, withConnection } from "./connection.ts";

/** `prune`: removes old snapshots. */
export function pruneCommand(context: CommandContext): Command {
  return command({
    name: "prune",
    description: "Removes snapshots that are old enough and not in use.",
    details:
      "Archives that were downloaded are not touched. A snapshot that is being downloaded stays, and so does a new one that waits for its first download.",
    flags: {
      ...connectionFlags,
      "keep-within": defaulted(durationFrom(0), "1h", {
        description: "Leave younger snapshots alone: 30m, 12h; 0 removes all that are not in use.",
        valueHint: "DURATION",
      }),
      json: toggle({ description: "Tell what was removed and kept as JSON on standard output." }),
    },
    run: (options, _operand, io) =>
      withConnection(options, context, async ({ client, signal }) => {
        const answer = await client.prune(options["keep-within"], signal);
        if (options.json) io.out(`${JSON.stringify(answer ?? {}, null, 2)}\n`);
        else tell(answer, context.log);
      }),
  });
}

function tell(answer: PruneAnswer | undefined, log: Log): void {
  if (answer === undefined) {
    log.info("pruned; the server doesn't tell what");
    return;
  }
  for (const name of answer.removed) log.info(`removed ${name}`);
  for (const { name, reason } of answer.kept) log.info(`kept ${name}: ${reason}`);
  if (answer.removed.length === 0) log.info("nothing to remove");
}
