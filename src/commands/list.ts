import type { SnapshotAnswer } from "../api/contract.ts";
import { type Command, command } from "../lib/command-line/command.ts";
import { toggle } from "../lib/command-line/flags.ts";
import { formatBytes, formatTime, table } from "../lib/units.ts";
import { type CommandContext, connectionFlags, withConnection } from "./connection.ts";

/** `list`: the snapshots that there are. */
export function listCommand(context: CommandContext): Command {
  return command({
    name: "list",
    description: "Lists the snapshots in Prometheus's snapshot directory, newest first.",
    details:
      "CONFIRMED says no if Prometheus never told this server that the snapshot is complete: somebody else asked for it, or its making was interrupted.",
    flags: { ...connectionFlags, json: toggle({ description: "As JSON." }) },
    run: (options, _operand, io) =>
      withConnection(options, context, async ({ client, signal }) => {
        const snapshots = await client.listSnapshots(signal);
        if (options.json) io.out(`${JSON.stringify(snapshots, null, 2)}\n`);
        else if (snapshots.length === 0) context.log.info("there are no snapshots");
        else io.out(snapshotTable(snapshots));
      }),
  });
}

function snapshotTable(snapshots: readonly SnapshotAnswer[]): string {
  const rows = snapshots.map((s) => [
    s.name,
    String(s.blocks),
    formatBytes(s.bytes),
    formatTime(s.min_time === null ? undefined : new Date(s.min_time)),
    formatTime(s.max_time === null ? undefined : new Date(s.max_time)),
    s.in_use ? "yes" : "",
    s.confirmed ? "" : "no",
  ]);
  return table(["SNAPSHOT", "BLOCKS", "SIZE", "FROM", "TO", "IN USE", "CONFIRMED"], rows, [
    "BLOCKS",
    "SIZE",
  ]);
}
