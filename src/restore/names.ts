import { lstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/*
 * None of these names is one that Prometheus loads (a ULID) or deletes at start-up
 * (`*.tmp-for-creation`, `*.tmp-for-deletion`, `*.tmp`): it passes over all others.
 */

const PREFIX = ".prombackup-";

/** Where blocks are staged within a data directory. */
const STAGING_INSIDE = `${PREFIX}restore`;

/** Where what was put in place goes when it is undone. */
export const UNDONE_INSIDE = `${PREFIX}undone`;

/** What a staged directory is known by: whichever of two directories has it is the new one. */
export const MARKER = `${PREFIX}restoring`;

const ASIDE_INSIDE = `${PREFIX}before-restore-`;

/** Where blocks are staged beside a data directory. */
export function stagingBeside(dataDir: string): string {
  return join(dirname(dataDir), `.${basename(dataDir)}.prombackup-restore`);
}

/** Whether a name is one that {@link stagingBeside} gives. */
export function isStagingBeside(name: string): boolean {
  return /^\..*\.prombackup-restore$/.test(name);
}

/** Where blocks are staged within it. */
export function stagingInside(dataDir: string): string {
  return join(dataDir, STAGING_INSIDE);
}

/** Where a data directory goes that another one takes the place of. */
export function asideBeside(dataDir: string, time: Date): string {
  return unused(`${dataDir}.before-restore-${stamp(time)}`);
}

/** The same within a data directory, for what it holds. */
export function asideInside(dataDir: string, time: Date): string {
  return unused(join(dataDir, `${ASIDE_INSIDE}${stamp(time)}`));
}

/** Whether a name is one that {@link asideInside} gives. */
export function isAsideInside(name: string): boolean {
  return name.startsWith(ASIDE_INSIDE) && isAsideName(name);
}

/** Whether a name is one that {@link asideBeside} or {@link asideInside} gives. */
export function isAsideName(name: string): boolean {
  return /^[^/]+before-restore-\d{8}T\d{6}Z(-\d+)?$/.test(name);
}

/** Whether an entry of a data directory is neither Prometheus's nor the operator's. */
export function isOurs(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The path, or one like it that names nothing. */
export function unused(path: string): string {
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? path : `${path}-${count}`;
    if (lstatSync(candidate, { throwIfNoEntry: false }) === undefined) return candidate;
  }
}

/** As in `20261125T024506Z`. */
function stamp(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, "");
}
