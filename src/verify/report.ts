import type { SnapshotReport } from "../archive/inspect/inspect.ts";
import { counted, formatBytes, formatTime, table } from "../lib/units.ts";
import type { Comparison } from "./compare.ts";
import { differences, problems, warnings } from "./problems.ts";
import type { ReadBackup } from "./read.ts";

export interface VerifyResult extends ReadBackup {
  readonly file: string;
  readonly compared_with: readonly Comparison[];
}

/** All that is wrong, in lines; none: a good backup, and the one that it should be. */
export function allProblems(result: VerifyResult): string[] {
  return [...differences(result.sha256, result.compared_with), ...problems(result)];
}

/** What `verify` prints. */
export function textReport(result: VerifyResult): string {
  const { report, bytes, format } = result;
  const what = format === "directory" ? "directory" : "snapshot";
  const blocks = counted(report.blocks.length, "block");
  const lines = [
    `${what} ${report.name ?? "-"}: ${blocks}, ${formatBytes(bytes)}${format === "directory" ? "" : ` as ${format}`}`,
    ...(result.sha256 === undefined ? [] : [`SHA-256 ${result.sha256}`]),
    ...allProblems(result).map((line) => `error: ${line}`),
    ...warnings(result).map((line) => `warning: ${line}`),
    ...(result.sha256 === undefined ? [] : comparisonLines(result.compared_with)),
  ];
  return `${blockTable(result)}${lines.join("\n")}\n`;
}

function comparisonLines(comparisons: readonly Comparison[]): string[] {
  if (comparisons.length === 0)
    return ["nothing to compare the SHA-256 with: no --sha256, no checksum file, no --server"];
  return comparisons.map(
    (c) => `compared with ${c.with}: ${c.equal ? "equal" : `DIFFERENT, ${c.sha256}`}`,
  );
}

function blockTable({ report, contents }: VerifyResult): string {
  if (report.blocks.length === 0) return "";
  const checked = new Map(contents?.blocks.map((block) => [block.block, block]));
  const verdict = ({ ulid, errors }: SnapshotReport["blocks"][number]) => {
    const found = checked.get(ulid);
    if ((found?.errors ?? errors.length) > 0) return "damaged";
    return found?.warnings ? "ok, with warnings" : "ok";
  };
  const rows = report.blocks.map((block) => [
    block.ulid,
    formatTime(block.minTime === undefined ? undefined : new Date(block.minTime)),
    formatTime(block.maxTime === undefined ? undefined : new Date(block.maxTime)),
    String(block.numSeries ?? "-"),
    String(block.numChunks ?? "-"),
    String(block.numSamples ?? "-"),
    formatBytes(block.bytes),
    verdict(block),
  ]);
  const head = ["BLOCK", "FROM", "TO", "SERIES", "CHUNKS", "SAMPLES", "SIZE", "VERDICT"];
  return `${table(head, rows, ["SERIES", "CHUNKS", "SAMPLES", "SIZE"])}\n`;
}

/** What `verify --json` prints. */
export function jsonReport(result: VerifyResult) {
  const { file, format, bytes, sha256, report, contents, compared_with } = result;
  return {
    file,
    ok: allProblems(result).length === 0,
    format,
    bytes,
    sha256: sha256 ?? null,
    compared_with: compared_with.map(({ recorded: _, ...comparison }) => comparison),
    snapshot: report.name ?? null,
    blocks: report.blocks,
    errors: report.errors,
    warnings: report.warnings,
    contents: contents ?? null,
  };
}

/** What `verify --json` prints when nothing is known of what the archive holds: its container is broken. */
export function jsonBroken(file: string, error: string) {
  return { file, ok: false, errors: [error] };
}
