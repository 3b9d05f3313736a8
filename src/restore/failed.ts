import { errorCode, errorText, Failure } from "../lib/errors.ts";

/** What became of a restore that failed before its decisive step, and what to do. */
export const UNCHANGED = "nothing was changed: once that is mended, restore again";

/** What went wrong, without the paths of descriptors, which mean nothing to an operator. */
export function reason(error: unknown): string {
  return errorText(error).replaceAll(/\/proc\/self\/fd\/\d+/g, "...");
}

/** What to do about what the system refused. */
export function remedy(error: unknown): string {
  const code = errorCode(error);
  const isRight = code === "EACCES" || code === "EPERM";
  return isRight ? "run as root or as its owner" : "once that is mended, try again";
}

/** The system's own error, which says neither where it was nor what became of it, as one that does. */
export function unchanged(dataDir: string, error: unknown): unknown {
  if (error instanceof Failure || errorCode(error) === undefined) return error;
  return new Failure(`can't restore into ${dataDir}: ${reason(error)}: ${UNCHANGED}`);
}
