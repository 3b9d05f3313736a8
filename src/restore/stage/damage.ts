import { DamagedError } from "../../lib/errors.ts";
import { formatTime } from "../../lib/units.ts";
import type { BlockResult } from "../../tsdb/check-block.ts";
import type { Finding } from "../../tsdb/findings.ts";
import type { Staged } from "./stage.ts";

/** A block that is not to be trusted. */
export interface DamagedBlock {
  readonly ulid: string;
  /** The first thing that is wrong with it. */
  readonly what: string;
  /** What is lost without it: a time range, series, samples. */
  readonly lost: string;
}

/**
 * Damaged blocks stop a restore, or are to be left out, each with a warning that says what is lost.
 *
 * @returns those that are to be left out
 * @throws DamagedError for the first one, unless they are skipped
 */
export function requireSound(
  staged: Staged,
  planned: readonly string[],
  skip: boolean,
  warn: (message: string) => void,
): DamagedBlock[] {
  const all = damagedBlocks(staged, planned);
  const damaged = all.filter(({ ulid }) => planned.includes(ulid));
  const [first, ...more] = damaged;
  if (first !== undefined && !skip) {
    const others = more.length === 0 ? "" : ` (and ${more.length} more: see prombackup verify)`;
    throw new DamagedError(
      `block ${first.ulid} is damaged: ${first.what}${others}: nothing was restored: take it from another backup, or leave it out with --skip-damaged, which loses ${first.lost}`,
    );
  }
  for (const finding of staged.contents.blocks.flatMap(({ findings }) => findings)) {
    if (finding.severity === "warning" && finding.consequence !== "none")
      warn(`block ${finding.block}: ${problemText(finding)}; ${finding.remedy}`);
  }
  for (const { ulid, what, lost } of damaged) {
    warn(`block ${ulid} is left out, it is damaged: ${what}; lost are ${lost}`);
  }
  // Of the others, none may come in the place of one that is taken away.
  return damaged.length === 0 ? [] : all;
}

/** The blocks in which a check has found errors: alone, or beside the others that are planned. */
function damagedBlocks({ survey, contents }: Staged, planned: readonly string[]): DamagedBlock[] {
  const plain = new Map(survey.blocks.map(({ ulid, errors }) => [ulid, errors[0]]));
  return contents.blocks.flatMap((result) => {
    const beside = planned.includes(result.block) ? contents.across : [];
    const finding = [...result.findings, ...beside].find(
      ({ severity, block }) => severity === "error" && block === result.block,
    );
    const what = finding === undefined ? plain.get(result.block) : problemText(finding);
    return what === undefined ? [] : [{ ulid: result.block, what, lost: lostWith(result) }];
  });
}

/** What is wrong with a block that is named beside it, and so is the remedy. */
function problemText({ file, offset, message, affects, consequence }: Finding): string {
  const place = offset === undefined ? file : `${file}, offset ${offset}`;
  const where = place === "" ? "" : `${place}: `;
  const concerns = affects === undefined ? "" : ` (${affects})`;
  const result = consequence === "none" ? "" : `; in Prometheus: ${consequence}`;
  return `${where}${message}${concerns}${result}`;
}

function lostWith({ meta, series, samples }: BlockResult): string {
  const count = `${meta?.stats.numSamples ?? samples} samples of ${meta?.stats.numSeries ?? series} series`;
  if (meta === undefined) return `${count}, of an unknown time`;
  const [from, to] = [meta.minTime, meta.maxTime].map((time) => formatTime(new Date(time)));
  return `${count}, from ${from} to ${to}`;
}
