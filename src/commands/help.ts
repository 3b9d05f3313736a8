import { type Command, command } from "../lib/command-line/command.ts";
import { columns, flagsHelp } from "../lib/command-line/help.ts";
import { UsageError } from "../lib/errors.ts";

const NAME = "prombackup";

/** The whole program's help. */
export function programHelp(commands: readonly Command[]): string {
  const listed = columns(commands.map(({ name, description }) => [name, description]));
  return `Usage: ${NAME} COMMAND [flags]

Backs up a plain Prometheus: takes snapshots, downloads, proves and restores
them.

Commands:
${listed}
"${NAME} help COMMAND" tells more. Flags may be written with one dash or two,
as --flag value or --flag=value, and with - or _ between their words.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 an archive is damaged;
129, 130 and 143 interrupted by SIGHUP, SIGINT, SIGTERM.

Example, with prombackup-server running beside Prometheus:
  ${NAME} create --server http://prometheus.example:8080 --format tzst
`;
}

/** `help`, `flags` and `commands`, as the Go program has them. They speak of all commands. */
export function helpCommands(others: readonly Command[]): Command[] {
  const all: Command[] = [...others];
  const find = (name: string) => {
    const found = all.find((candidate) => candidate.name === name);
    if (found === undefined) throw new UsageError(`unknown command: ${name}`);
    return found;
  };
  const operand = { name: "COMMAND", description: "The command to tell of.", required: false };
  const help = command({
    name: "help",
    description: "Tells how to use the program or a command.",
    operand,
    flags: {},
    run: async (_, name, io) =>
      io.out(name === undefined ? programHelp(all) : find(name).help(NAME)),
  });
  const flags = command({
    name: "flags",
    description: "Lists the flags of all commands or of one.",
    operand,
    flags: {},
    run: async (_, name, io) => {
      const chosen = name === undefined ? others : [find(name)];
      io.out(chosen.map((each) => `${each.name}:\n${flagsHelp(each.flags)}`).join("\n"));
    },
  });
  const commands = command({
    name: "commands",
    description: "Lists the commands.",
    flags: {},
    run: async (_, _name, io) => io.out(all.map((each) => `${each.name}\n`).join("")),
  });
  all.push(help, flags, commands);
  return [help, flags, commands];
}
