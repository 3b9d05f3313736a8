import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "./at-end.ts";

/** Makes an empty directory of its own that is removed at the end of the test or the test file. */
export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), "prombackup-test-"));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
