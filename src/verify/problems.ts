import type { ContentReport } from "../archive/inspect/check-blocks.ts";
import type { SnapshotReport } from "../archive/inspect/inspect.ts";
import { type Finding, findingText } from "../tsdb/findings.ts";
import type { Checked } from "./check.ts";
import type { Comparison } from "./compare.ts";

/** How an archive's digest differs from what it should be, in lines. */
export function differences(
  sha256: string | undefined,
  comparisons: readonly Comparison[],
): string[] {
  return comparisons
    .filter(({ equal }) => !equal)
    .map((c) => `its SHA-256 is ${sha256}, but ${c.with} says ${c.sha256}`);
}

/** All that is wrong with what it holds, in lines; none: a good backup. */
export function problems({ report, contents }: Checked): string[] {
  return [
    ...report.errors,
    ...findings(contents, "error").map(findingText),
    // What the contents tell is told once.
    ...(contents === undefined ? report.blocks.flatMap(blockErrors) : []),
  ];
}

/** All that is odd, in lines, but keeps nothing from being restored. */
export function warnings({ report, contents }: Checked): string[] {
  return [...findings(contents, "warning").map(findingText), ...report.warnings];
}

function blockErrors(block: SnapshotReport["blocks"][number]): string[] {
  return block.errors.map((error) => `block ${block.ulid}: ${error}`);
}

function findings(contents: ContentReport | undefined, severity: Finding["severity"]): Finding[] {
  if (contents === undefined) return [];
  const all = [...contents.blocks.flatMap((block) => block.findings), ...contents.across];
  return all.filter((finding) => finding.severity === severity);
}
