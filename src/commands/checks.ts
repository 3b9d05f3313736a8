import type { CheckLevel } from "../tsdb/check-block.ts";
import { type BlockChecks, checksHere } from "../tsdb/checks.ts";
import { CheckPool } from "../tsdb/pool/check-pool.ts";

/**
 * Runs work with checks on the cores there are. With one core they stay on this thread: another would
 * only be in the way.
 */
export async function withChecks<T>(
  level: CheckLevel,
  workerUrl: URL,
  work: (checks: BlockChecks) => Promise<T>,
): Promise<T> {
  const cores = navigator.hardwareConcurrency;
  if (cores === 1) return work(checksHere(level));
  const pool = new CheckPool(workerUrl, cores);
  try {
    return await work(pool.checks(level));
  } finally {
    pool.close();
  }
}
