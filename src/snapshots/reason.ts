import { statSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import { errorCode, errorText } from "../lib/errors.ts";

/** A directory by two names: the one to reach it by, and the one that its operator knows. */
export interface Place {
  readonly path: string;
  readonly shown: string;
}

/**
 * Why an access within a directory failed, in the operator's words and with the remedy where there
 * is one. What the system says of paths is left out: they are those of descriptors.
 */
export function reasonText(error: unknown, place: Place): string {
  switch (errorCode(error)) {
    case "EACCES":
    case "EPERM":
      return permissionText(place);
    case "EROFS":
      return `${place.shown} is read-only here: its file system is, or the service's sandbox`;
    case "ENOTDIR":
      return `${place.shown} is not a directory`;
  }
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") {
    const [code, text] = getSystemErrorMap().get(error.errno) ?? [];
    if (code !== undefined) return `${text} (${code}) in ${place.shown}`;
  }
  return errorText(error);
}

function permissionText({ path, shown }: Place): string {
  const own = process.geteuid?.();
  const stat = statOf(path);
  if (stat === undefined) return `permission denied in ${shown}: prombackup runs as uid ${own}`;
  if (stat.uid !== own) {
    return (
      "permission denied: prombackup must run as the user that owns " +
      `${shown} (uid ${stat.uid}), it runs as uid ${own}`
    );
  }
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
  return `permission denied: ${shown} has mode ${mode} and belongs to uid ${own}, as which prombackup runs`;
}

/** Undefined where a directory above denies the look at it as well. */
function statOf(path: string): { uid: number; mode: number } | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
