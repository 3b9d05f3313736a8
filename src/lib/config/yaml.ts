import { errorText, Failure } from "../errors.ts";
import { Section } from "./section.ts";

/** More than any configuration; what is larger is something else. */
const MAX_CHARACTERS = 1024 * 1024;

/**
 * Reads a YAML document whose top is a mapping, strictly: Bun's parser takes the last of two equal
 * keys, any number of documents, and an empty file for null.
 *
 * @param file What messages call it.
 * @throws Failure that names the file; never with a value in it, since values may be secrets
 */
export function parseYaml(text: string, file: string): Section {
  if (text.length > MAX_CHARACTERS) throw new Failure(`${file}: it is over 1 MiB`);
  const twice = repeatedKey(text);
  if (twice !== undefined)
    throw new Failure(`${file}: line ${twice.line}: ${twice.key} is repeated`);
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Failure(`${file}: ${errorText(cause)}`);
  }
  return Section.of(value ?? {}, file);
}

/** A key that ends beyond is none to the search for repeated ones, whose time grows by the square. */
const MAX_KEY = 500;

interface Level {
  readonly indent: number;
  readonly keys: Set<string>;
}

/** A key of a mapping in block style, plain or quoted, and what follows it on its line. */
const KEY =
  /^( *)((?:- +)*)("[^"]*"|'[^']*'|[^\s"'#[\]{},&*!|>@`%-][^#]*?|-[^\s#][^#]*?) *:(?: +(.*))?$/;

/** Finds a key that a mapping in block style holds twice; flow style is left to itself. */
function repeatedKey(text: string): { key: string; line: number } | undefined {
  let levels: Level[] = [];
  let scalarIndent: number | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const own = line.search(/[^ ]/);
    if (own === -1 || (scalarIndent !== undefined && own > scalarIndent)) continue;
    scalarIndent = undefined;
    const [, spaces = "", dashes = "", key, rest = ""] = KEY.exec(line.slice(0, MAX_KEY)) ?? [];
    if (key === undefined) {
      levels = levels.filter(({ indent }) => indent <= own && !line.startsWith("---"));
      continue;
    }
    const indent = spaces.length + dashes.length;
    // A dash begins a new mapping at its own place.
    const kept = dashes === "" ? indent : spaces.length - 1;
    levels = levels.filter((level) => level.indent <= kept);
    const level = levels.find((each) => each.indent === indent) ?? { indent, keys: new Set() };
    if (!levels.includes(level)) levels.push(level);
    const name = key.replace(/^(["'])(.*)\1$/, "$2");
    if (level.keys.has(name)) return { key: name, line: index + 1 };
    level.keys.add(name);
    if (/^(?:[&!]\S+ +)*[|>][-+\d]*(?: +#.*)?$/.test(rest)) scalarIndent = spaces.length;
  }
  return undefined;
}
