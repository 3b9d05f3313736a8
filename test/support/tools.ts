import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import { findTool, type Tool } from "../../scripts/tools.ts";

/**
 * Whether this machine has all of these tools: `test.skipIf(!needs("bsdtar"))(...)`. What is missing
 * is listed with the skipped tests at the end of `bun run test`. Throws under CI=true, where nothing
 * may be skipped.
 */
export function needs(...tools: Tool[]): boolean {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return true;
  if (process.env["CI"] === "true") throw new Error(`missing for this test: ${missing.join(", ")}`);
  const list = process.env["PROMBACKUP_TEST_MISSING"];
  const file = relative(process.cwd(), Bun.main);
  if (list) for (const tool of missing) appendFileSync(list, `${file}\t${tool}\n`);
  return false;
}
