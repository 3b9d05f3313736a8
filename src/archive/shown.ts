const LONGEST = 200;

/**
 * A name from an archive, fit for one line of a terminal: what could steer the terminal or hide
 * (controls, line breaks, direction marks, lone surrogates) is escaped, what is too long is cut.
 */
export function shown(name: string): string {
  const start = name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name;
  return start.replace(
    /[\p{C}\p{Zl}\p{Zp}\\]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
