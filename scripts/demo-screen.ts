/** Without a terminal there is no colour, and none where the user wants none. */
const COLOUR = process.stdout.isTTY === true && !process.env["NO_COLOR"];
const WIDTH = 80;

/** Says what the next steps are about. */
export function heading(text: string): void {
  console.log(`\n${paint("1;33", `# ${text}`)}`);
}

/** Says what came of a step that has no words of its own. */
export function note(text: string): void {
  console.log(paint("32", `=> ${text}`));
}

/** Shows a command as one would type it into a shell, on several lines if it is long. */
export function showCommand(words: readonly string[]): void {
  const lines: string[] = [];
  let line = "$";
  for (const part of withTheirValues(words.map(quote))) {
    // The blank before it and the backslash after it have to fit as well.
    if (line.length + part.length + 3 > WIDTH && line.trim() !== "$") {
      lines.push(`${line} \\`);
      line = "   ";
    }
    line += ` ${part}`;
  }
  console.log(paint("1;36", [...lines, line].join("\n")));
}

/** Puts each flag together with the word that follows it, unless that is a flag too. */
function withTheirValues(words: readonly string[]): string[] {
  const parts: string[] = [];
  for (const [index, word] of words.entries()) {
    const isValue = words[index - 1]?.startsWith("-") && !/^[-&]/.test(word);
    if (isValue) parts.push(`${parts.pop()} ${word}`);
    else parts.push(word);
  }
  return parts;
}

function quote(word: string): string {
  return /^[\w@%+=:,./&-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function paint(code: string, text: string): string {
  return COLOUR ? `\u001b[${code}m${text}\u001b[0m` : text;
}
