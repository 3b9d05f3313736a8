import { libC, systemError } from "../libc.ts";

// <fcntl.h> and <linux/fs.h>; the same on every Linux architecture.
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
// <errno.h>, likewise for those that Bun runs on.
const ENOSYS = 38;
const EINVAL = 22;

/**
 * Lets two files or directories of one file system swap their names, in one step: at no moment is
 * there nothing under either name (renameat2(2), Linux).
 *
 * @returns false if the kernel or the file system can't (NFS, ZFS before 2.2); nothing has changed then
 * @throws an error of the system's for any other reason
 */
export function exchange(one: string, other: string): boolean {
  const { renameat2, errno } = libC("exchanging directories");
  if (renameat2 === undefined) return false;
  if (renameat2(AT_FDCWD, cString(one), AT_FDCWD, cString(other), RENAME_EXCHANGE) === 0)
    return true;
  const code = errno();
  if (code === ENOSYS || code === EINVAL) return false;
  throw systemError(`can't exchange ${one} and ${other}`, code);
}

function cString(path: string): Uint8Array {
  return new TextEncoder().encode(`${path}\0`);
}
