import { userInfo } from "node:os";
import { getSystemErrorMap } from "node:util";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import { shown } from "./shown.ts";

/**
 * What a failed look at, opening or reading of a snapshot's file is to the operator. What the system
 * says of paths is left out: they are those of descriptors.
 *
 * @param path `NAME/path`, the snapshot's name and the path below it
 */
export function fileFailure(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(`${shown(path)}: ${reason(error)}`);
}

function reason(error: unknown): string {
  switch (errorCode(error)) {
    case "ENOENT":
      return "it vanished while it was read";
    case "EACCES":
    case "EPERM":
      return `not readable by user ${userName()}: run prombackup as the user that Prometheus runs as`;
    case "ELOOP":
    case "ENOTDIR":
    case "ENXIO":
      return "it was replaced by something else while it was read";
    case "EMFILE":
    case "ENFILE":
      return "too many open files: raise the limit (ulimit -n, LimitNOFILE=)";
  }
  return systemText(error) ?? errorText(error);
}

function systemText(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("errno" in error)) return undefined;
  if (typeof error.errno !== "number") return undefined;
  // Bun's errno is negative, as the map's keys are, in most places but not in all.
  const [code, text] = getSystemErrorMap().get(-Math.abs(error.errno)) ?? [];
  return code === undefined ? undefined : `${text} (${code})`;
}

/** A uid may have no name, as in a container. */
function userName(): string {
  const uid = process.geteuid?.() ?? -1;
  try {
    const user = userInfo();
    if (user.uid === uid && user.username !== "unknown") return `${user.username} (uid ${uid})`;
  } catch {
    // No name, then.
  }
  return `with uid ${uid}`;
}
