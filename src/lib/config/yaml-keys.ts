/** A key of a mapping as it stands in a YAML text, without quotes around it. */
export interface WrittenKey {
  readonly name: string;
  readonly line: number;
}

/**
 * Finds the keys in a well-formed YAML text, in block and in flow style. Not found are those in
 * longer forms (`? key`), which a configuration can do without.
 */
export function writtenKeys(text: string): WrittenKey[] {
  return new KeyScanner(text).scan();
}

const BLANKS = /[ \t\r\n]+/y;
const COMMENT = /#[^\r\n]*/y;
/** At the beginning of a line: a directive, and the marks around a document. */
const DOCUMENT = /%[^\r\n]*|(?:---|\.\.\.)(?=\s|$)/y;
/** An anchor, an alias, a tag. */
const PROPERTY = /[&*!][^\s,[\]{}]*/y;
const BLOCK_SCALAR = /[|>][-+\d]*[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|$)/y;
const LINE = /([^\r\n]*)(?:\r\n?|\n|$)/y;
const OPENING = /[[{]/y;
/** What stands for structure in a block, and what does so between brackets. */
const BLOCK = { indicator: /[-?:](?=\s|$)/y, colon: /[ \t]*:(?=\s|$)/y, end: /\s/ };
const FLOW = { indicator: /[,[\]{}]|[-?:](?=[\s,[\]{}]|$)/y, colon: /\s*:/y, end: /[\s,[\]{}]/ };

class KeyScanner {
  readonly #keys: WrittenKey[] = [];
  #at = 0;
  #line = 1;
  #lineStart = 0;
  /** How many brackets are open. */
  #depth = 0;
  /** Of the latest key or dash: a text that belongs to it stands further to the right. */
  #column = -1;

  constructor(private readonly text: string) {}

  scan(): WrittenKey[] {
    while (this.#at < this.text.length) this.#step();
    return this.#keys;
  }

  #step(): void {
    const passed = this.#take(BLANKS) || this.#take(COMMENT) || this.#take(PROPERTY);
    if (passed !== "" || (this.#at === this.#lineStart && this.#take(DOCUMENT))) return;
    const column = this.#at - this.#lineStart;
    if (this.#depth === 0 && this.#take(BLOCK_SCALAR)) {
      this.#skipText();
      return;
    }
    const indicator = this.#take(this.#style.indicator) || this.#take(OPENING);
    if (indicator === "") this.#scalar();
    else if (indicator === "-") this.#column = column;
    else if (/[[{]/.test(indicator)) this.#depth++;
    else if (/[\]}]/.test(indicator)) this.#depth--;
  }

  get #style(): typeof BLOCK {
    return this.#depth > 0 ? FLOW : BLOCK;
  }

  /** A scalar, which is a key if a colon follows. */
  #scalar(): void {
    const [line, column] = [this.#line, this.#at - this.#lineStart];
    const quote = this.text[this.#at] ?? "";
    const quoted = quote === '"' || quote === "'";
    const written = this.#advance(quoted ? this.#quotedEnd(quote) : this.#plainEnd());
    if (!this.#take(this.#style.colon)) return;
    this.#keys.push({ name: quoted ? unquoted(written) : written.trim(), line });
    this.#column = column;
  }

  #quotedEnd(quote: string): number {
    const { text } = this;
    for (let i = this.#at + 1; i < text.length; i++) {
      const doubled = quote === "'" && text[i + 1] === "'";
      if (text[i] === quote && !doubled) return i + 1;
      if (text[i] === (quote === "'" ? "'" : "\\")) i++;
    }
    return text.length;
  }

  #plainEnd(): number {
    const { text } = this;
    const ends = (at: number) => at >= text.length || this.#style.end.test(text.charAt(at));
    // At least one character, so that the scan goes on whatever there is.
    let i = this.#at + 1;
    for (; i < text.length; i++) {
      const c = text.charAt(i);
      if (/[\r\n]/.test(c) || (c === ":" && ends(i + 1))) break;
      if (c === "#" && /\s/.test(text.charAt(i - 1))) break;
      if (this.#depth > 0 && /[,[\]{}]/.test(c)) break;
    }
    return i;
  }

  #skipText(): void {
    this.#take(LINE);
    while (this.#at < this.text.length) {
      LINE.lastIndex = this.#at;
      const [, line = ""] = LINE.exec(this.text) ?? [];
      if (line.trim() !== "" && line.search(/[^ ]/) <= this.#column) return;
      this.#take(LINE);
    }
  }

  /** What a sticky pattern finds at the present place, which is then behind it. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    return this.#advance(this.#at + found.length);
  }

  #advance(end: number): string {
    const passed = this.text.slice(this.#at, end);
    for (const { 0: lineEnd, index } of passed.matchAll(/\r\n?|\n/g)) {
      this.#line++;
      this.#lineStart = this.#at + index + lineEnd.length;
    }
    this.#at = end;
    return passed;
  }
}

function unquoted(written: string): string {
  const inner = written.slice(1, -1);
  if (written.startsWith("'")) return inner.replaceAll("''", "'");
  try {
    // JSON's escapes are YAML's as well. One with others is told as it stands.
    return String(JSON.parse(written));
  } catch {
    return inner;
  }
}
