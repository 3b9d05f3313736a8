/**
 * The command line was wrong: an unknown flag, a missing or malformed value. Exit status 2, and
 * nothing was started.
 */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Something that the operator can act on went wrong. The message names the thing, the cause and,
 * where there is one, the remedy; it is shown without a stack. Exit status 1.
 */
export class Failure extends Error {
  override readonly name: string = "Failure";
  /** Milliseconds to wait before the same is tried again; undefined: that wouldn't help, or be safe. */
  retryAfter: number | undefined;
}

/** Says of a failure that the same may go well later, and that nothing is done twice by trying. */
export function retryable<F extends Failure>(failure: F, afterMilliseconds = 0): F {
  failure.retryAfter = afterMilliseconds;
  return failure;
}

/**
 * The archive at hand is not what it should be: damaged, truncated, or another one than was asked
 * for. Told apart from a {@link Failure} (which says nothing about the archive) by exit status 3.
 */
export class DamagedError extends Failure {
  override readonly name = "DamagedError";
}

/** One line that tells an error and its causes, outermost first. Never empty, never throws. */
export function errorText(error: unknown): string {
  const parts: string[] = [];
  let current = error;
  // A chain of causes is short; the bound guards against one that loops.
  for (let depth = 0; depth < 8 && current != null; depth++) {
    const text = current instanceof Error ? current.message || current.name : String(current);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  const line = parts.join(": ").replace(/\s*\n\s*/g, " ");
  // A server's words, or a file's name, must not get to steer a terminal.
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd") || "unknown error";
}

/** The code of a system error (`ENOENT`, `ECONNREFUSED`), or undefined if it has none. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
