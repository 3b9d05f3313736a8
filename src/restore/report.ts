import { shown } from "../archive/shown.ts";
import { counted, formatBytes, formatTime, table } from "../lib/units.ts";
import { type ChosenBlock, isRestored } from "./plan/choose.ts";
import type { Request } from "./plan/facts.ts";
import type { Plan } from "./plan/plan.ts";
import type { Loaded } from "./put/loaded.ts";
import { asidePath, quote, undoLine } from "./put/undo.ts";
import type { Restored } from "./surroundings.ts";

/** What `restore --json` prints. */
export interface JsonResult {
  readonly archive: string;
  plan?: ReturnType<typeof jsonPlan>;
  readonly warnings: string[];
  prometheus?: Loaded;
  /** Why it failed; absent if it didn't. */
  error?: string;
}

/** The plan for people. */
export function planText(archive: string, plan: Plan): string {
  const restored = plan.blocks.filter(isRestored);
  const lines = [
    `restore of ${archive} (snapshot ${shown(plan.snapshot)}) into ${plan.dataDir}`,
    "",
    blockTable(plan.blocks),
    `${counted(restored.length, "block")}, ${formatBytes(plan.bytes)} (${formatBytes(plan.freeBytes)} free), ${rangeText(restored)}`,
    fate(plan),
    ...asked(plan),
    ...plan.warnings.map((warning) => `warning: ${warning}`),
    ...plan.refusals.map(({ message }) => `refused: ${message}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** What was done, for people, with the line that undoes it. */
export function doneText({ dataDir, placing, finished }: Restored): string {
  const { restored } = placing;
  if (restored.length === 0 && !finished)
    return "nothing to do: every block is there, by itself or within another one\n";
  const aside = asidePath(dataDir, placing);
  const undo = undoLine(dataDir, placing);
  const blocks = counted(restored.length, "block");
  return [
    finished
      ? `this restore had been interrupted near its end: finished it, of ${blocks} into ${dataDir}\n`
      : `restored ${blocks} into ${dataDir}\n`,
    aside === undefined ? "" : `kept what was there before in ${aside}\n`,
    undo === undefined ? "" : `to undo it, with Prometheus stopped:\n  ${undo}\n`,
  ].join("");
}

export function jsonPlan(plan: Plan) {
  return {
    data_dir: plan.dataDir,
    snapshot: plan.snapshot,
    way: plan.way,
    blocks: plan.blocks.map(({ ulid, meta, action, why, bytes }) => ({
      ulid,
      min_time: meta?.minTime ?? null,
      max_time: meta?.maxTime ?? null,
      series: meta?.stats.numSeries ?? null,
      samples: meta?.stats.numSamples ?? null,
      bytes,
      action,
      why: why ?? null,
    })),
    bytes: plan.bytes,
    free_bytes: plan.freeBytes,
    aside: plan.aside ?? null,
    prometheus: plan.running
      ? {
          version: plan.running.version,
          retention: plan.running.retentionText,
          data_dir: plan.running.dataDir,
        }
      : null,
    owner: `${plan.ownership.uid}:${plan.ownership.gid}`,
    warnings: plan.warnings,
    refusals: plan.refusals,
  };
}

export function jsonOutcome({ dataDir, placing, finished, leftOut }: Restored) {
  const { restored } = placing;
  return {
    finished_interrupted: finished,
    restored,
    damaged: leftOut,
    aside: asidePath(dataDir, placing) ?? null,
    undo: undoLine(dataDir, placing) ?? null,
  };
}

/** The command that tells later whether Prometheus has loaded what was restored. */
export function checkCommand(
  file: string,
  { dataDir, only }: Request,
  endpoint: string,
  httpConfigFile: string | undefined,
): string {
  const blocks = (only ?? []).map((ulid) => ` --block ${ulid}`).join("");
  const http = httpConfigFile && ` --prometheus.http.config.file ${quote(httpConfigFile)}`;
  // What begins with a dash would be taken for a flag.
  const archive = /^-./.test(file) ? `./${file}` : file;
  return `prombackup restore ${quote(archive)} --data-dir ${quote(dataDir)}${blocks} --prometheus-endpoint ${quote(endpoint)}${http ?? ""} --check`;
}

function blockTable(blocks: readonly ChosenBlock[]): string {
  const rows = blocks.map(({ ulid, meta, bytes, action, why }) => [
    ulid,
    formatTime(meta && new Date(meta.minTime)),
    formatTime(meta && new Date(meta.maxTime)),
    String(meta?.stats.numSamples ?? "-"),
    formatBytes(bytes),
    why === undefined ? action : `${action}: ${why}`,
  ]);
  const head = ["BLOCK", "FROM", "TO", "SAMPLES", "SIZE", "ACTION"];
  return table(head, rows, ["SAMPLES", "SIZE"]);
}

function rangeText(blocks: readonly ChosenBlock[]): string {
  const metas = blocks.flatMap(({ meta }) => (meta === undefined ? [] : [meta]));
  if (metas.length === 0) return "of no known time";
  const from = metas.reduce((first, { minTime }) => Math.min(first, minTime), Infinity);
  const to = metas.reduce((last, { maxTime }) => Math.max(last, maxTime), -Infinity);
  return `from ${formatTime(new Date(from))} to ${formatTime(new Date(to))}`;
}

/** What can't be asked any more when it is stopped. */
function asked({ running }: Plan): string[] {
  if (running === undefined) return [];
  const { url, version, retentionText } = running;
  return [
    `Prometheus ${version} at ${url} keeps ${retentionText}; once it is stopped, that is --retention ${retentionText} --prometheus-version ${version}`,
  ];
}

function fate({ way, dataDir, aside, refusals }: Plan): string {
  if (refusals.length > 0) return "nothing is changed, for the reasons below";
  if (way === "insert") {
    const replaced = aside === undefined ? "" : `; blocks of the same name go to ${aside}`;
    return `all else in ${dataDir} stays as it is${replaced}`;
  }
  if (aside === undefined) return `${dataDir} is new or empty`;
  return `all that ${dataDir} holds now is kept in ${aside}`;
}
