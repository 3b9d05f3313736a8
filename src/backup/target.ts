import { stat, unlink } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { IncomingDownload } from "../api/client.ts";
import { type ArchiveFormat, FORMAT_DETAILS } from "../archive/format.ts";
import { errorCode, errorText, Failure, UsageError } from "../lib/errors.ts";
import {
  checkTarget,
  openFileSink,
  removeLeftovers,
  writeFileAtomically,
} from "../lib/files/file-sink.ts";
import {
  checksumLine,
  checksumPath,
  NoChecksumFile,
  readChecksumFile,
} from "../lib/files/sha256sum.ts";
import { type Sink, standardOutputSink } from "../lib/files/sink.ts";

/** Where an archive shall go. */
export interface TargetRequest {
  /** "-" is standard output; undefined a file in the current directory, named by the server. */
  readonly output: string | undefined;
  readonly format: ArchiveFormat;
  readonly checksumFile: boolean;
}

/** An archive on its way to where it shall go. Ends by `commit` or `discard`, one of them, once. */
export interface Target {
  /** Null: standard output. */
  readonly file: string | null;
  /** Discarding it takes back what was written. */
  readonly isFile: boolean;
  readonly write: Sink["write"];
  readonly discard: Sink["discard"];
  /**
   * All is there and proven: makes it durable, gives it its name, writes the checksum file. Before
   * the archive has its name, a failure leaves everything as it was; later ones say that it is there.
   */
  commit(sha256: string): Promise<void>;
}

/**
 * Finds what would keep an archive from being written, before a server is asked for anything.
 *
 * @returns what is odd there, but not in the way
 * @throws Failure or UsageError
 */
export async function prepareTarget(request: TargetRequest): Promise<string[]> {
  const { output, format, checksumFile } = request;
  if (output === "-") return [];
  if (output === undefined) return prepareDirectory(format);
  const kind = await checkTarget(output);
  if (kind === "device" && checksumFile) {
    throw new UsageError(`--checksum-file needs a file, and ${output} is a pipe or a device`);
  }
  if (kind === "device") return [];
  await sha256Of(checksumPath(output));
  if (checksumFile) await checkChecksumTarget(checksumPath(output));
  return [];
}

async function prepareDirectory(format: ArchiveFormat): Promise<string[]> {
  // Nobody knows the server's name for the archive yet: any name that is no other run's shows it.
  await checkTarget(`prombackup-${process.pid}`).catch((cause: unknown) => {
    throw new Failure(
      `can't write to the current directory: name a file elsewhere with --output (${errorText(cause)})`,
    );
  });
  const extension = FORMAT_DETAILS[format].extension.replaceAll(".", "\\.");
  return removeLeftovers(".", new RegExp(`^[A-Za-z0-9]+-[A-Za-z0-9]+${extension}$`));
}

async function checkChecksumTarget(path: string): Promise<void> {
  const kind = await checkTarget(path);
  if (kind === "device") throw new Failure(`${path} is a pipe or a device: move it away`);
}

/** @throws Failure if it can't be written */
export async function openTarget(
  request: TargetRequest,
  download: Pick<IncomingDownload, "fileName">,
): Promise<Target> {
  if (request.output === "-") {
    const sink = standardOutputSink();
    return {
      file: null,
      isFile: false,
      write: sink.write,
      discard: sink.discard,
      commit: () => sink.commit(),
    };
  }
  const file = resolve(request.output ?? download.fileName);
  if (request.output === undefined && (await exists(file))) {
    throw new Failure(`${file} exists already: name another file with --output`);
  }
  const sink = await openFileSink(file);
  return {
    file,
    isFile: sink.isFile,
    write: sink.write,
    discard: sink.discard,
    commit: (sha256) => commit(sink, file, sha256, request.checksumFile),
  };
}

/**
 * The archive must never stand beside a checksum file of another one, so the old one goes first, and
 * comes again if it was there. A run that is killed in between leaves an archive without one.
 */
async function commit(sink: Sink, file: string, sha256: string, asked: boolean): Promise<void> {
  const path = checksumPath(file);
  let before: string | undefined;
  try {
    if (sink.isFile) before = await sha256Of(path);
    await sink.sync();
    if (asked || before !== undefined) await remove(path);
  } catch (error) {
    await sink.discard();
    throw error;
  }
  try {
    await sink.commit();
  } catch (error) {
    // The old archive stays, and so does what belongs to it.
    if (before !== undefined) await writeChecksum(file, before).catch(() => {});
    throw error;
  }
  await sink.settle();
  if (asked || before !== undefined) await writeNewChecksum(file, sha256);
}

async function remove(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return;
    throw new Failure(`can't replace ${path}: ${errorText(cause)}`, { cause });
  }
}

async function writeNewChecksum(file: string, sha256: string): Promise<void> {
  try {
    await writeChecksum(file, sha256);
  } catch (cause) {
    throw new Failure(
      `${file} is complete and proven, its SHA-256 is ${sha256}, but ${checksumPath(file)} could not be written: ${errorText(cause)}`,
      { cause },
    );
  }
}

async function writeChecksum(file: string, sha256: string): Promise<void> {
  await writeFileAtomically(checksumPath(file), checksumLine(sha256, basename(file)));
}

/**
 * Undefined if there is no checksum file: what isn't one, whatever its name, says nothing of the archive.
 *
 * @throws Failure if it can't be read: a new archive could stand beside the old one's checksum
 */
async function sha256Of(path: string): Promise<string | undefined> {
  return readChecksumFile(path).catch((error: unknown) => {
    if (error instanceof NoChecksumFile) return undefined;
    throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    },
  );
}
