import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { Failure } from "../lib/errors.ts";
import { fileFailure } from "./file-failure.ts";
import { type ArchivePlan, archivePath, type Member } from "./plan.ts";
import { shown } from "./shown.ts";

/** A named pipe in place of the file must not keep the opening waiting. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The contents of a planned file: exactly `member.size` bytes, in fresh buffers of at most 512 KiB.
 *
 * As seen in Bun 1.4.5, `Bun.file(fd).slice(0, size).stream()` gives these bytes and no more, the first
 * 256 KiB and then 512 KiB at a time whatever chunk size it is asked for, each in a buffer of its own;
 * it reads one chunk ahead of its consumer, and on a duplicate of the descriptor, which it closes at
 * the end, or when it was cancelled and the read under way has ended. So the descriptor that was
 * checked stays ours to close.
 *
 * @throws Failure naming the file if it can't be read, isn't the planned one, or changes meanwhile
 */
export async function* readPlannedFile(
  plan: ArchivePlan,
  member: Member,
): AsyncGenerator<Uint8Array> {
  const label = archivePath(plan.name, member.path);
  try {
    const fd = openSync(`${plan.directory}/${member.path}`, READ_FILE);
    try {
      requireUnchanged(fd, member, label);
      yield* contents(fd, member, label);
      requireUnchanged(fd, member, label);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileFailure(label, error);
  }
}

async function* contents(fd: number, { size }: Member, label: string): AsyncGenerator<Uint8Array> {
  let left = size;
  if (left === 0) return;
  for await (const chunk of Bun.file(fd).slice(0, size).stream()) {
    left -= chunk.byteLength;
    if (left < 0) break;
    yield chunk;
  }
  if (left !== 0) throw changed(label, `it ended ${left} bytes before its size of ${size}`);
}

/**
 * The time of the last status change is not compared: a snapshot's files are hard links, and it moves
 * whenever Prometheus or a prune removes another link to the same file.
 */
function requireUnchanged(fd: number, member: Member, label: string): void {
  const stats = fstatSync(fd);
  if (!stats.isFile() || stats.dev !== member.dev || stats.ino !== member.ino) {
    throw changed(label, "another file took its place");
  }
  if (stats.size !== member.size) {
    const how = stats.size < member.size ? "shrank" : "grew";
    throw changed(label, `it ${how} from ${member.size} to ${stats.size} bytes`);
  }
  if (stats.mtimeMs !== member.mtimeMs) throw changed(label, "it was written to");
}

function changed(label: string, how: string): Failure {
  return new Failure(`${shown(label)} changed while it was read: ${how}`);
}
