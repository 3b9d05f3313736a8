import { InvalidSnapshotName } from "./errors.ts";

/**
 * Whether a snapshot of this name can be asked for: letters and digits around one dash, in either
 * case. It says nothing about when the snapshot was taken: see {@link snapshotTime}.
 */
export function isSnapshotName(text: string): boolean {
  return /^[A-Za-z0-9]+-[A-Za-z0-9]+$/.test(text);
}

/**
 * `<YYYYMMDDThhmmss><zone>-<something>`: Prometheus (web/api/v1/api.go, `snapshot`) formats it by
 * Go's layout `20060102T150405Z0700`, which writes `Z` in UTC. What isn't valid UTF-8 on the disk
 * reads as U+FFFD, so such a name can't be used to find the directory again.
 */
const DATED = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:Z|\+(\d\d)(\d\d))-[^/\p{Cc}\uFFFD]+$/u;

/**
 * When a snapshot was taken, by its name: `20261122T155836Z-65aeeeb8efa3ba34`, or with `+hhmm` in
 * place of `Z`. This is the time that prune counts from.
 *
 * @returns undefined if the name doesn't tell a time that exists (30 February, 24:00:00, a leap
 *   second): prune leaves such a directory alone
 */
export function snapshotTime(name: string): Date | undefined {
  const match = DATED.exec(name);
  if (match === null) return undefined;
  const part = (index: number) => Number(match[index] ?? 0);
  const [year, month, day] = [part(1), part(2), part(3)];
  const [hour, minute, second] = [part(4), part(5), part(6)];
  if (hour > 23 || minute > 59 || second > 59 || part(7) > 23 || part(8) > 59) return undefined;
  const local = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // Date.UTC carries what is too large, and takes the years 0 to 99 for those after 1900.
  if (local.getUTCFullYear() !== year || local.getUTCMonth() !== month - 1) return undefined;
  if (local.getUTCDate() !== day) return undefined;
  return new Date(local.getTime() - (part(7) * 60 + part(8)) * 60_000);
}

/**
 * The last guard before a name becomes part of a path: throws unless it is a snapshot's name, or one
 * that prune may meet (dated, and of any characters but `/`).
 *
 * @throws InvalidSnapshotName
 */
export function checkSnapshotName(name: string): void {
  if (!isSnapshotName(name) && snapshotTime(name) === undefined)
    throw new InvalidSnapshotName(name);
}
