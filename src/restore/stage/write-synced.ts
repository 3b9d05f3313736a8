import { closeSync, constants, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";

const NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/** Writes a small file that is there as a whole or not at all; its directory isn't synced. */
export function writeSynced(path: string, content: string): void {
  const partial = `${path}.new`;
  const fd = openSync(partial, NEW, 0o644);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(partial, path);
}
