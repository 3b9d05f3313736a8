import { isUtf8 } from "node:buffer";
import {
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
} from "node:fs";
import { Failure } from "../lib/errors.ts";
import { type FileStatus, statusAt, statusOf } from "../lib/files/status.ts";
import { slices } from "../lib/slices.ts";
import { fileFailure } from "./file-failure.ts";
import { shown } from "./shown.ts";
import { padded, TAR_END_SIZE, tarHeaderSize } from "./tar/header.ts";

/** A directory or a regular file of a snapshot, as it was when the archive was planned. */
export interface Member {
  /** "/"-joined, below the snapshot; "" is the snapshot itself. */
  readonly path: string;
  readonly type: "directory" | "file";
  /** Bytes; 0 for a directory. */
  readonly size: number;
  /** Whole seconds since 1970, not negative. */
  readonly mtime: number;
  /** By these and the size a file is known again when its turn comes. */
  readonly dev: number;
  readonly ino: number;
  /** With its fraction, as the file system has it. */
  readonly mtimeMs: number;
}

/** What an archive will hold, in its order, and how large it will be. */
export interface ArchivePlan {
  /** The snapshot's directory: its path, or `/proc/self/fd/N` of a held descriptor. */
  readonly directory: string;
  /** The snapshot's name: the archive's top directory, and what messages call it. */
  readonly name: string;
  readonly members: readonly Member[];
  /** What no archive holds, one sentence each: `NAME/path is a symbolic link`. */
  readonly leftOut: readonly string[];
  /** Bytes of the tar, its end included. */
  readonly contentSize: number;
}

/**
 * Walks a snapshot once, depth first, names in byte order, and reads no file's contents.
 *
 * Each directory is held by a descriptor and what it holds is looked at through that, so a symbolic
 * link that is put in place of a directory leads nowhere. The event loop turns every 3 ms; only the
 * listing of a single directory isn't cut (12 ms for 10,000 names).
 *
 * @param name the snapshot's name; messages say it and never `directory`
 * @throws Failure naming `NAME/path` if something vanishes or can't be read, or if a file's name is
 *   not UTF-8: pax records and this program's messages couldn't say it. Prometheus makes no such file.
 */
export async function planArchive(directory: string, name: string): Promise<ArchivePlan> {
  const walk = new Walk(name);
  await walk.root(directory);
  const { members, leftOut } = walk;
  return { directory, name, members, leftOut, contentSize: contentSize(name, members) };
}

/** The path of a member within the archive, which is also how messages name it. */
export function archivePath(name: string, path: string): string {
  return path === "" ? name : `${name}/${path}`;
}

function contentSize(name: string, members: readonly Member[]): number {
  let size = TAR_END_SIZE;
  for (const member of members) {
    size += tarHeaderSize({ ...member, path: archivePath(name, member.path) });
    size += padded(member.size);
  }
  return size;
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
/** `/proc/self` is a link to this, which would have to be followed for each file. */
const DESCRIPTORS = `/proc/${process.pid}/fd`;

class Walk {
  readonly members: Member[] = [];
  readonly leftOut: string[] = [];
  private readonly pause = slices();

  constructor(private readonly name: string) {}

  async root(directory: string): Promise<void> {
    // A descriptor's path is itself a kind of link, which must be followed.
    const held = directory.startsWith("/proc/self/fd/");
    await this.directory(directory, "", held ? DIRECTORY : DIRECTORY | constants.O_NOFOLLOW);
  }

  private async directory(location: string, path: string, flags: number): Promise<void> {
    const fd = this.attempt(path, () => openSync(location, flags));
    try {
      const status = this.attempt(path, () => statusOf(fd));
      this.add("directory", path, status);
      const held = `${DESCRIPTORS}/${fd}`;
      for (const entry of this.attempt(path, () => this.list(held, path))) {
        await this.pause();
        await this.visit(entry, fd, path === "" ? entry.name : `${path}/${entry.name}`);
      }
    } finally {
      closeSync(fd);
    }
  }

  private async visit(entry: Dirent, parent: number, path: string): Promise<void> {
    const location = `${DESCRIPTORS}/${parent}/${entry.name}`;
    if (!entry.isDirectory()) {
      const status = this.attempt(path, () => statusAt(parent, entry.name));
      if (status.type === "file") return this.add("file", path, status);
      // Some file systems don't tell the type in the listing.
      if (status.type !== "directory") return this.leaveOut(path, location);
    }
    return this.directory(location, path, DIRECTORY | constants.O_NOFOLLOW);
  }

  private leaveOut(path: string, location: string): void {
    const stats = this.attempt(path, () => lstatSync(location));
    this.leftOut.push(`${shown(archivePath(this.name, path))} is ${kindOf(stats)}`);
  }

  private add(type: Member["type"], path: string, status: FileStatus): void {
    const { dev, ino, mtimeMs } = status;
    const size = type === "file" ? status.size : 0;
    // A time before 1970 has no portable form.
    const mtime = Math.max(0, Math.floor(mtimeMs / 1000));
    this.members.push({ path, type, size, mtime, dev, ino, mtimeMs });
  }

  private list(held: string, path: string): Dirent[] {
    const entries = readdirSync(held, { withFileTypes: true });
    // What isn't UTF-8 comes as a replacement character, which could also be one by right.
    if (entries.some(({ name }) => name.includes("\ufffd"))) this.requireUtf8(held, path);
    return entries.sort((a, b) => compareBytes(a.name, b.name));
  }

  private requireUtf8(held: string, path: string): void {
    for (const name of readdirSync(held, { encoding: "buffer" })) {
      if (isUtf8(name)) continue;
      const where = shown(archivePath(this.name, path));
      const text = JSON.stringify(name.toString("latin1"));
      throw new Failure(
        `${where} holds a file whose name is not UTF-8 (as Latin-1: ${text}): remove it`,
      );
    }
  }

  private attempt<T>(path: string, look: () => T): T {
    try {
      return look();
    } catch (error) {
      throw fileFailure(archivePath(this.name, path), error);
    }
  }
}

/** Strings compare by UTF-16 units, which is the order of UTF-8 but for what surrogates stand for. */
function compareBytes(a: string, b: string): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

const SURROGATE = /[\ud800-\udfff]/;

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return "a symbolic link";
  if (stats.isFIFO()) return "a named pipe";
  if (stats.isSocket()) return "a socket";
  if (stats.isBlockDevice()) return "a block device";
  if (stats.isCharacterDevice()) return "a character device";
  return "of an unknown type";
}
