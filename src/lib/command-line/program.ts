import { defineCommand, runCommand, type SubCommandsDef } from "citty";
import { DamagedError, UsageError } from "../errors.ts";
import { hideUser } from "../network/hide-user.ts";
import { parseArgv } from "./argv.ts";
import type { Command, Io } from "./command.ts";
import type { Flags } from "./flags.ts";

/** The exit statuses of both programs. */
export const EXIT = { done: 0, failed: 1, usage: 2, damaged: 3 } as const;

/** What the signals that end work have for an exit status. */
const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A signal ended the work; the shell's convention for the status is 128 and the signal's number. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor(readonly signal: keyof typeof SIGNAL_STATUS) {
    super(`interrupted by ${signal}`);
  }
}

/** What a program is made of: one command, or several by name. */
export interface Program {
  readonly name: string;
  readonly version: () => string;
  readonly help: () => string;
  readonly commands: readonly Command[];
}

/** Runs a program of one command, which has no name on the command line. */
export async function runSingle(program: Program, argv: readonly string[], io: Io): Promise<void> {
  const [command] = program.commands;
  if (command === undefined) throw new Error("a program without a command");
  const parsed = parseArgv(argv, command.flags);
  if (parsed.help) return io.out(program.help());
  if (parsed.version) return io.out(`${program.version()}\n`);
  await runCommand(command.citty(io), { rawArgs: canonical(parsed) });
}

/** Runs a program of several commands: `PROGRAM [flags] COMMAND [flags] [operand]`. */
export async function runCommands(
  program: Program,
  argv: readonly string[],
  io: Io,
): Promise<void> {
  const parsed = parseArgv(argv, allFlags(program));
  if (parsed.version) return io.out(`${program.version()}\n`);
  const [name, ...operands] = parsed.operands;
  const command = program.commands.find((candidate) => candidate.name === name);
  if (parsed.help) return io.out(command?.help(program.name) ?? program.help());
  if (name === undefined) throw new UsageError("no command given");
  if (command === undefined) throw new UsageError(`unknown command: ${hideUser(name)}`);
  for (const flag of parsed.flags.keys()) {
    if (!(flag in command.flags))
      throw new UsageError(`unknown flag: --${flag} is not a flag of ${name}`);
  }
  const subCommands: SubCommandsDef = Object.create(null);
  for (const each of program.commands) subCommands[each.name] = () => each.citty(io);
  const root = defineCommand({ meta: { name: program.name }, subCommands });
  await runCommand(root, { rawArgs: [name, ...canonical({ flags: parsed.flags, operands })] });
}

/** Flags may stand before the command, when which one it will be isn't known yet. */
function allFlags(program: Program): Flags {
  return Object.assign({}, ...program.commands.map((command) => command.flags));
}

/** The one form that citty reads without its surprises: `--name=value` for each flag, then operands. */
function canonical(parsed: {
  flags: ReadonlyMap<string, string>;
  operands: readonly string[];
}): string[] {
  const flags = [...parsed.flags].map(([name, value]) => `--${name}=${value}`);
  return [...flags, "--", ...parsed.operands];
}

/** The one place where an error becomes an exit status. */
export function exitStatus(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  // citty's own errors aren't exported; none should get past the parser above.
  if (error instanceof Error && error.name === "CLIError") return EXIT.usage;
  if (error instanceof DamagedError) return EXIT.damaged;
  if (error instanceof Interrupted) return SIGNAL_STATUS[error.signal];
  return EXIT.failed;
}
