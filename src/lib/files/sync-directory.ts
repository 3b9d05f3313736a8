import { closeSync, constants, fsyncSync, openSync } from "node:fs";

/** Makes durable which names a directory holds: what was created, renamed or removed in it. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
