import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../scripts/build.ts";
import { builtPrograms } from "./programs.ts";

const BUILT = "PROMBACKUP_TEST_DIST";

/**
 * The directory that holds the compiled `prombackup` and `prombackup-server`, built anew once in a
 * test run, at its beginning or when they are wanted first. It goes away with the temporary directory of `bun run test`.
 */
export async function compiledPrograms(): Promise<string> {
  // Test files may have modules of their own, but they share the environment of their process.
  const built = builtPrograms() ?? process.env[BUILT];
  if (built) return built;
  const directory = mkdtempSync(join(tmpdir(), "prombackup-dist-"));
  chmodSync(directory, 0o755); // Some tests run them as another user.
  await build(directory);
  process.env[BUILT] = directory;
  return directory;
}
