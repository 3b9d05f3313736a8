import type { Flag, Flags } from "./flags.ts";

const WIDTH = 80;

/** Breaks text into lines of at most 80 columns, each behind an indent; a long word stands alone. */
export function wrap(text: string, indent = ""): string {
  return text
    .split("\n")
    .map((paragraph) => wrapParagraph(paragraph, indent))
    .join("\n");
}

function wrapParagraph(paragraph: string, indent: string): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of paragraph.split(" ")) {
    const longer = line === indent ? line + word : `${line} ${word}`;
    if (longer.length <= WIDTH || line === indent) {
      line = longer;
    } else {
      lines.push(line);
      line = indent + word;
    }
  }
  lines.push(line);
  return lines.join("\n").trimEnd();
}

/** The flags of a command, one below the other, each with its default and environment variable. */
export function flagsHelp(flags: Flags): string {
  return Object.entries(flags)
    .map(([name, flag]) => `  ${flagForm(name, flag)}\n${wrap(flagText(flag), "        ")}\n`)
    .join("");
}

function flagForm(name: string, flag: Flag<unknown>): string {
  return flag.boolean ? `--${name}` : `--${name} ${flag.valueHint ?? "VALUE"}`;
}

function flagText(flag: Flag<unknown>): string {
  const facts: string[] = [];
  if (flag.required) facts.push("required");
  if (flag.default !== undefined) facts.push(`default ${flag.default}`);
  if (flag.env) facts.push(`environment ${flag.env}`);
  return facts.length === 0 ? flag.description : `${flag.description} (${facts.join("; ")})`;
}

/** Two columns, the second wrapped. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  const indent = " ".repeat(width + 4);
  return rows
    .map(([left, right]) => `  ${left.padEnd(width)}  ${wrap(right, indent).trimStart()}\n`)
    .join("");
}
