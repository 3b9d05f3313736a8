import { readFileSync, type Stats } from "node:fs";
import { UsageError } from "../lib/errors.ts";
import type { DataDir } from "./data-dir.ts";

/** To whom restored files belong, and who else may do what with them. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  readonly directoryMode: number;
  readonly fileMode: number;
}

/** What `--owner` names; the group is undefined if it doesn't name one. */
export interface Owner {
  readonly uid: number;
  readonly gid: number | undefined;
}

/** Follows the data directory; or its parent, but for rights to write that others have there. */
export function ownershipOf({ exists, stats }: DataDir, owner: Owner | undefined): Ownership {
  const directoryMode = exists ? stats.mode & 0o7777 : (stats.mode & 0o2755) | 0o700;
  return {
    uid: owner?.uid ?? stats.uid,
    gid: owner?.gid ?? stats.gid,
    directoryMode,
    fileMode: directoryMode & 0o666,
  };
}

/** Whether this process may give files to that user and that group. */
export function mayGiveTo({ uid, gid }: Pick<Stats, "uid" | "gid">): boolean {
  const own = process.geteuid?.();
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])];
  return own === 0 || (own === uid && groups.includes(gid));
}

/**
 * Reads `user[:group]`, by names or by numbers. A user by name brings its own group.
 *
 * @throws UsageError if there is no such name in /etc/passwd or /etc/group
 */
export function parseOwner(text: string): Owner {
  const [user = "", group] = text.split(":");
  const { uid, gid } = /^\d+$/.test(user) ? { uid: Number(user), gid: undefined } : findUser(user);
  if (group === undefined) return { uid, gid };
  return { uid, gid: /^\d+$/.test(group) ? Number(group) : findGroup(group) };
}

function findUser(name: string): { uid: number; gid: number } {
  const [, , uid, gid] = find("/etc/passwd", name, "user");
  return { uid: Number(uid), gid: Number(gid) };
}

function findGroup(name: string): number {
  return Number(find("/etc/group", name, "group")[2]);
}

function find(file: string, name: string, what: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n");
  const fields = lines.map((line) => line.split(":")).find(([first]) => first === name);
  if (name === "" || fields === undefined) {
    throw new UsageError(
      `--owner: no ${what} ${JSON.stringify(name)} in ${file}: give the number instead`,
    );
  }
  return fields;
}
