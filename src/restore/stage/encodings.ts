import type { BlockResult } from "../../tsdb/check-block.ts";
import { isOlder } from "../plan/running-prometheus.ts";
import { requireNone, Verdict } from "../plan/verdict.ts";
import type { Staged } from "./stage.ts";

/** Since when Prometheus reads the encodings of chunks; all older ones are read by any version 2. */
const SINCE: readonly { codes: readonly number[]; version: readonly [number, number] }[] = [
  { codes: [5, 6], version: [3, 14] },
  { codes: [4], version: [3, 11] },
  { codes: [2, 3], version: [2, 40] },
];

/**
 * The guard against blocks that open, and fail in each query, since a newer Prometheus wrote them.
 *
 * @param version of the Prometheus that is to read them; undefined if it isn't known
 * @throws Failure if it is too old
 */
export function requireReadable(
  { contents }: Staged,
  restored: readonly string[],
  version: string | undefined,
  warn: (message: string) => void,
): void {
  const verdict = new Verdict();
  const blocks = contents.blocks.filter(({ block }) => restored.includes(block));
  guardEncodings(blocks, version, verdict);
  for (const warning of verdict.warnings) warn(warning);
  requireNone(verdict.refusals);
}

function guardEncodings(
  blocks: readonly BlockResult[],
  version: string | undefined,
  verdict: Verdict,
): void {
  for (const { block, encodings } of blocks) {
    const newest = SINCE.find(({ codes }) => encodings.some(({ code }) => codes.includes(code)));
    if (newest === undefined) continue;
    const needed = newest.version.join(".");
    const names = encodings.filter(({ code }) => newest.codes.includes(code));
    const what = `block ${block} has chunks of the encoding ${names.map(({ name }) => name).join(", ")}`;
    if (version !== undefined && isOlder(version, newest.version)) {
      verdict.refuse(
        "version",
        `${what}, which Prometheus reads since ${needed}, and it is ${version} here: upgrade it first (if that is done, say --prometheus-version)`,
      );
    } else if (version === undefined && isOlder("3.0", newest.version)) {
      verdict.warn(`${what}: it takes Prometheus ${needed} or newer`);
    }
  }
}
