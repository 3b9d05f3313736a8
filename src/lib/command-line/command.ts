import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { UsageError } from "../errors.ts";
import { hideUser } from "../network/hide-user.ts";
import { type Environment, type Flags, type FlagValues, flagValue } from "./flags.ts";
import { flagsHelp, wrap } from "./help.ts";

/** What a command prints and where it learns of the world; tests hand in their own. */
export interface Io {
  readonly env: Environment;
  /** Data, to standard output. */
  readonly out: (text: string) => void;
}

/** A word that isn't a flag, such as the file of `verify FILE`. */
export interface Operand {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
}

/** What a command is called and takes: all that its help and its parser need to know. */
interface Described {
  readonly name: string;
  /** One line. */
  readonly description: string;
  /** Further paragraphs of the help. */
  readonly details?: string;
  readonly flags: Flags;
  readonly operand?: Operand;
}

export interface CommandDefinition<F extends Flags> extends Described {
  readonly flags: F;
  readonly run: (options: FlagValues<F>, operand: string | undefined, io: Io) => Promise<void>;
}

/** A command as the program around it sees it: its help and its citty form. */
export interface Command {
  readonly name: string;
  readonly description: string;
  readonly flags: Flags;
  readonly help: (program: string) => string;
  /** Made anew for each run, since citty changes the definition that it parses with. */
  readonly citty: (io: Io) => CommandDef;
}

/**
 * Makes a command. It only throws; its exit status is told by what it throws
 * ({@link ./program.ts}).
 */
export function command<F extends Flags>(definition: CommandDefinition<F>): Command {
  return {
    name: definition.name,
    description: definition.description,
    flags: definition.flags,
    help: (program) => commandHelp(program, definition),
    citty: (io) =>
      defineCommand({
        meta: { name: definition.name, description: definition.description },
        args: cittyArgs(definition),
        run: ({ args }) =>
          definition.run(
            flagValues(definition.flags, args, io.env),
            operand(definition, args._),
            io,
          ),
      }),
  };
}

/** Everything is text to citty: what a text means is for the flag's own parser to say. */
function cittyArgs(definition: Described): ArgsDef {
  const names = Object.keys(definition.flags);
  return Object.fromEntries(names.map((name) => [name, { type: "string" }]));
}

function flagValues<F extends Flags>(
  flags: F,
  args: Record<string, unknown>,
  env: Environment,
): FlagValues<F> {
  const values = Object.entries(flags).map(([name, flag]): [string, unknown] => {
    const given = args[name];
    return [name, flagValue(name, flag, typeof given === "string" ? given : undefined, env)];
  });
  requireCompatible(flags, args, new Map(values));
  // fromEntries forgets which key has which type; each value came out of its own flag's parser.
  return Object.fromEntries(values) as FlagValues<F>;
}

/** A boolean that is switched off excludes nothing. */
function requireCompatible(
  flags: Flags,
  args: Record<string, unknown>,
  values: ReadonlyMap<string, unknown>,
): void {
  const isOn = (name: string) => args[name] !== undefined && values.get(name) !== false;
  for (const [name, flag] of Object.entries(flags)) {
    const excluded = isOn(name) && flag.excludes?.find(isOn);
    if (excluded) throw new UsageError(`--${name} and --${excluded} exclude each other`);
  }
}

function operand(definition: Described, words: readonly string[]): string | undefined {
  const [first, ...surplus] = words;
  const expected = definition.operand;
  const unexpected = expected === undefined ? first : surplus[0];
  if (unexpected !== undefined)
    throw new UsageError(`unexpected argument: ${hideUser(unexpected)}`);
  if (expected?.required && !first)
    throw new UsageError(`${expected.name} is missing: ${expected.description}`);
  return first;
}

function commandHelp(program: string, definition: Described): string {
  const { name, description, details, flags } = definition;
  const word = definition.operand;
  const form = word === undefined ? "" : word.required ? ` ${word.name}` : ` [${word.name}]`;
  const usage = `Usage: ${name === program ? name : `${program} ${name}`} [flags]${form}`;
  const about = [wrap(description), ...(details === undefined ? [] : [wrap(details)])];
  const words =
    word === undefined
      ? ""
      : `\nArguments:\n  ${word.name}\n${wrap(word.description, "        ")}\n`;
  return `${usage}\n\n${about.join("\n\n")}\n${words}\nFlags:\n${flagsHelp(flags)}`;
}
