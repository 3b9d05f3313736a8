import { basename, dirname, join } from "node:path";
import { UNDONE_INSIDE, unused } from "../names.ts";
import type { Placing } from "../stage/placing.ts";

/** Where what was there before is kept; undefined if there was nothing. */
export function asidePath(dataDir: string, { way, aside }: Placing): string | undefined {
  return aside && join(way === "exchange" ? dirname(dataDir) : dataDir, aside);
}

/**
 * The line for a shell that undoes a restore, with Prometheus stopped. What was restored is kept
 * beside; undefined if there is nothing to undo but to remove what is there.
 */
export function undoLine(dataDir: string, placing: Placing): string | undefined {
  const { way, restored, replaced } = placing;
  const aside = asidePath(dataDir, placing);
  const directory = quote(dataDir);
  if (way === "exchange") {
    if (aside === undefined) return undefined;
    const undone = quote(unused(`${dataDir}.undone`));
    return `mv -T ${directory} ${undone} && mv -T ${quote(aside)} ${directory}`;
  }
  if (way === "within") {
    if (aside === undefined) return undefined;
    const { undone, enter } = entering(dataDir, placing);
    const others = "-mindepth 1 -maxdepth 1 ! -name '.prombackup-*' ! -name lost+found";
    return `${enter} && find . ${others} -exec mv -t ${undone} {} + && find ${quote(basename(aside))} -mindepth 1 -maxdepth 1 -exec mv -t . {} +`;
  }
  if (restored.length === 0) return undefined;
  const blocks = restored.join(" ");
  // Of those that Prometheus has compacted meanwhile, none can be undone alone.
  const { undone, enter } = entering(dataDir, placing, ` && ls -d ${blocks} >/dev/null`);
  const away = `${enter} && mv ${blocks} ${undone}/`;
  if (aside === undefined || replaced.length === 0) return away;
  const back = replaced.map((ulid) => quote(join(basename(aside), ulid))).join(" ");
  return `${away} && mv ${back} .`;
}

/** Two restores have two lines, which may be used one after the other. */
function entering(dataDir: string, { aside, restored }: Placing, check = "") {
  const which = aside?.split("-restore-").at(-1) ?? restored[0];
  const undone = basename(unused(join(dataDir, `${UNDONE_INSIDE}-${which}`)));
  return { undone, enter: `cd ${quote(dataDir)}${check} && mkdir ${undone}` };
}

/** A word of a shell's command line. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
