import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes an empty directory of its own that is removed when the test file has ended. */
export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), "prombackup-test-"));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
