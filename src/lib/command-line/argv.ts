import { errorText, UsageError } from "../errors.ts";
import { type Flags, goBoolean } from "./flags.ts";

/** What stood on a command line: flags under their defined names, and the other words. */
export interface ParsedArgv {
  readonly flags: ReadonlyMap<string, string>;
  readonly operands: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

/**
 * Reads arguments in Go's flag syntax and in GNU's: one or two dashes, `-flag value` or
 * `-flag=value`, and `-`, `_` and `.` are the same letter within a name. A boolean takes a value
 * behind `=` alone. The last of a repeated flag counts, if it isn't a list; flags may stand among the operands; all
 * behind `--` are operands, and so is a lone `-`.
 *
 * @throws UsageError that names an unknown flag or a flag without its value.
 */
export function parseArgv(argv: readonly string[], flags: Flags): ParsedArgv {
  const names = new Map(Object.keys(flags).map((name) => [oneSpelling(name), name]));
  const given = new Map<string, string>();
  const operands: string[] = [];
  let help = false;
  let version = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--") {
      operands.push(...argv.slice(i + 1));
      break;
    }
    if (!isFlag(word)) {
      operands.push(word);
      continue;
    }
    const { spelling, value } = splitFlag(word);
    const name = names.get(spelling);
    if (name === undefined) {
      if (spelling === "help" || spelling === "h") help = switched(spelling, value);
      else if (spelling === "version") version = switched(spelling, value);
      else throw new UsageError(unknownFlag(word, spelling, names));
      continue;
    }
    if (value === undefined && flags[name]?.boolean) given.set(name, "true");
    else {
      const text = requireText(name, value ?? nextValue(name, argv[++i], names));
      const before = flags[name]?.repeatable ? given.get(name) : undefined;
      given.set(name, before === undefined ? text : `${before},${text}`);
    }
  }
  return { flags: given, operands, help, version };
}

/** Go's booleans take a value, and so do these two. */
function switched(name: string, value: string | undefined): boolean {
  try {
    return value === undefined || goBoolean(value);
  } catch (cause) {
    throw new UsageError(
      `invalid value ${JSON.stringify(value)} for --${name}: ${errorText(cause)}`,
    );
  }
}

function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith("-");
}

function splitFlag(word: string): { spelling: string; value: string | undefined } {
  const [, name = "", value] = /^--?([^=]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
  return { spelling: oneSpelling(name), value };
}

/** `-`, `_` and `.` are the same letter. */
function oneSpelling(name: string): string {
  return name.replace(/[_.]/g, "-");
}

function nextValue(
  name: string,
  word: string | undefined,
  names: ReadonlyMap<string, string>,
): string {
  if (word === undefined) throw new UsageError(`flag needs a value: --${name}`);
  // Go would take the next flag for the value, and a forgotten value would do something else than
  // was meant. A value that looks like a flag of ours can be given behind "=".
  if (isFlag(word) && names.has(splitFlag(word).spelling)) {
    throw new UsageError(
      `flag needs a value: --${name} (${word} behind it is a flag; --${name}=${word} if it is meant)`,
    );
  }
  return word;
}

function requireText(name: string, value: string): string {
  if (value === "") throw new UsageError(`flag needs a value: --${name} is empty`);
  return value;
}

function unknownFlag(word: string, spelling: string, names: ReadonlyMap<string, string>): string {
  const near = [...names].find(
    ([known]) => known.startsWith(spelling) || spelling.startsWith(known),
  );
  return `unknown flag: ${word.split("=")[0]}${near ? ` (did you mean --${near[1]}?)` : ""}`;
}
