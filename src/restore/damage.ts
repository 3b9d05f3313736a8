import { formatTime } from "../lib/units.ts";
import type { BlockResult } from "../tsdb/check-block.ts";
import type { Finding } from "../tsdb/findings.ts";
import type { Staged } from "./stage.ts";

/** A block that is not to be trusted. */
export interface DamagedBlock {
  readonly ulid: string;
  /** The first thing that is wrong with it. */
  readonly what: string;
  /** What is lost without it: a time range, series, samples. */
  readonly lost: string;
}

/** The blocks in which a check has found errors, alone or beside the others. */
export function damagedBlocks({ survey, contents }: Staged): DamagedBlock[] {
  const plain = new Map(survey.blocks.map(({ ulid, errors }) => [ulid, errors[0]]));
  return contents.blocks.flatMap((result) => {
    const finding = [...result.findings, ...contents.across].find(
      ({ severity, block }) => severity === "error" && block === result.block,
    );
    const what = finding === undefined ? plain.get(result.block) : findingText(finding);
    return what === undefined ? [] : [{ ulid: result.block, what, lost: lostWith(result) }];
  });
}

function findingText({ file, offset, message, affects, consequence }: Finding): string {
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
