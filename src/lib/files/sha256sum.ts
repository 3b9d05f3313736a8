import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { errorCode, errorText, Failure } from "../errors.ts";

/** A line of sha256sum is a digest and a path; a path has at most 4,096 bytes, each escaped to two. */
const MAX_BYTES = 64 * 1024;

const DIGEST = /^\\?([0-9a-fA-F]{64}) [ *](.*)\n?$/s;
/** As `sha256sum --tag` prints it, and BSD's sha256. */
const TAGGED = /^\\?SHA256 \(.*\) = ([0-9a-fA-F]{64})\n?$/s;

/** The checksum file that belongs to a file: beside it, under its name with this behind it. */
export function checksumPath(file: string): string {
  return `${file}.sha256`;
}

/** A line as `sha256sum FILE` prints it and `sha256sum -c` reads it (GNU coreutils). */
export function checksumLine(sha256: string, fileName: string): string {
  const escaped = fileName.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `${escaped === fileName ? "" : "\\"}${sha256}  ${escaped}\n`;
}

/** What has the name of a checksum file is something else, and says nothing of the archive. */
export class NoChecksumFile extends Failure {}

/**
 * The SHA-256 that a checksum file of one line tells, in small letters; undefined if it isn't there.
 *
 * @throws Failure if it can't be read; NoChecksumFile if it is something else: a pipe of that name is
 * not waited for
 */
export async function readChecksumFile(path: string): Promise<string | undefined> {
  const content = await readSmallFile(path);
  if (content === undefined) return undefined;
  const digest = (DIGEST.exec(content) ?? TAGGED.exec(content))?.[1];
  if (digest === undefined || content.trimEnd().includes("\n")) {
    throw new NoChecksumFile(
      `${path} doesn't hold one SHA-256 as sha256sum writes it: mend it, or move it away`,
    );
  }
  return digest.toLowerCase();
}

async function readSmallFile(path: string): Promise<string | undefined> {
  // Without O_NONBLOCK, the opening of a pipe that nobody writes doesn't end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      if (errorCode(error) === "ENOENT") return undefined;
      throw unreadable(path, error);
    },
  );
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    if (!found.isFile() || found.size > MAX_BYTES) {
      throw new NoChecksumFile(
        `${path} is taken for the archive's checksum file, but is ${found.isFile() ? `${found.size} bytes long` : "not a regular file"}: move it away`,
      );
    }
    return await file.readFile("utf8").catch((error: unknown) => {
      throw unreadable(path, error);
    });
  } finally {
    await file.close();
  }
}

function unreadable(path: string, cause: unknown): Failure {
  return new Failure(`${path} can't be read: ${errorText(cause)}: mend it, or move it away`, {
    cause,
  });
}
