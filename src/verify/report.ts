import type { SnapshotReport } from "../archive/inspect/inspect.ts";
import { counted, formatBytes, formatTime, table } from "../lib/units.ts";
import { problems, type VerifyResult, warnings } from "./problems.ts";

/** What `verify` prints. */
export function textReport(result: VerifyResult): string {
  const { report, compared_with } = result;
  const told = [
    ...problems(result).map((line) => `error: ${line}\n`),
    ...warnings(result).map((line) => `warning: ${line}\n`),
  ];
  const compared = compared_with.map(
    (c) => `compared with ${c.with}: ${c.equal ? "equal" : `DIFFERENT, ${c.sha256}`}\n`,
  );
  return (
    `${blockTable(result)}snapshot ${report.name ?? "-"}: ${counted(report.blocks.length, "block")}, ${formatBytes(result.bytes)} as ${result.format}\n` +
    `SHA-256 ${result.sha256}\n` +
    told.join("") +
    (compared.length > 0
      ? compared.join("")
      : "nothing to compare the SHA-256 with: no --sha256, no checksum file, no --server\n")
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
    String(block.numSamples ?? "-"),
    formatBytes(block.bytes),
    verdict(block),
  ]);
  const head = ["BLOCK", "FROM", "TO", "SERIES", "SAMPLES", "SIZE", "VERDICT"];
  return `${table(head, rows, ["SERIES", "SAMPLES", "SIZE"])}\n`;
}

/** What `verify --json` prints. */
export function jsonReport(result: VerifyResult) {
  const { file, format, bytes, sha256, report, contents, compared_with } = result;
  return {
    file,
    ok: problems(result).length === 0,
    format,
    bytes,
    sha256,
    compared_with,
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
