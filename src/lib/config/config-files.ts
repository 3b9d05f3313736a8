import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errorCode, errorText, Failure } from "../errors.ts";
import type { Section } from "./section.ts";
import { parseYaml } from "./yaml.ts";

/** A file that has changed so shortly before it was read may change again under the same time. */
const UNSETTLED_MS = 100;
/** More than any configuration, certificate or secret; what is larger is something else. */
const MAX_BYTES = 1024 * 1024;
/** How long somebody may take to open a pipe for writing. */
const NO_WRITER_MS = 5000;

/** Reads the files of a configuration, and tells afterwards whether one of them has changed. */
export class ConfigFiles {
  readonly #stamps = new Map<string, string>();
  /** What pipes held, which can be read only once. */
  readonly #pipes: Map<string, string>;

  /** @param earlier Of the same configuration, read before: a pipe that is new since is refused. */
  constructor(private readonly earlier?: ConfigFiles) {
    this.#pipes = earlier === undefined ? new Map() : earlier.#pipes;
  }

  /** @throws Failure that names the file */
  async yaml(path: string): Promise<Section> {
    return parseYaml(await this.text(path), path);
  }

  /** @throws Failure that names the file */
  async text(path: string): Promise<string> {
    const piped = this.#pipes.get(path);
    if (piped !== undefined) return piped;
    this.#stamps.set(path, await stamp(path, Date.now() - UNSETTLED_MS));
    try {
      // Without the flag, opening a pipe would wait for a writer, and nothing could end that.
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        return await this.#read(file, path);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw new Failure(`${path} can't be read: ${unreadable(error)}`);
    }
  }

  /** Whether a file that was read, or should have been, is another than it was then. */
  async changed(): Promise<boolean> {
    for (const [path, before] of this.#stamps) {
      if ((await stamp(path, Number.POSITIVE_INFINITY)) !== before) return true;
    }
    return false;
  }

  async #read(file: FileHandle, path: string): Promise<string> {
    const found = await file.stat();
    const pipe = found.isFIFO();
    if (found.isDirectory()) throw new Failure("it is a directory");
    if (!pipe && !found.isFile()) throw new Failure("it is neither a file nor a pipe");
    if (pipe && this.earlier !== undefined)
      throw new Failure("it is a pipe, which is read at the start alone");
    const text = decoded(await contents(file, pipe));
    if (pipe) {
      this.#pipes.set(path, text);
      this.#stamps.delete(path);
    }
    return text;
  }
}

/** A path in a configuration file is relative to that file. */
export function besideFile(configFile: string, path: string): string {
  return resolve(dirname(configFile), path);
}

/** All that a file holds, or a pipe: that is waited for as long as somebody has it open for writing. */
async function contents(file: FileHandle, pipe: boolean): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let writerUntil = performance.now() + NO_WRITER_MS;
  for (;;) {
    const chunk = await available(file);
    if (chunk?.length === 0 && (!pipe || size > 0)) return Buffer.concat(chunks);
    if (chunk !== undefined && chunk.length > 0) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_BYTES) throw new Failure("it is over 1 MiB");
      continue;
    }
    if (chunk === undefined) writerUntil = performance.now() + NO_WRITER_MS;
    else if (performance.now() > writerUntil) throw new Failure("it is a pipe with nothing in it");
    await Bun.sleep(10);
  }
}

/** What comes next. Of a pipe: nothing if nobody has it open for writing, undefined if somebody has. */
async function available(file: FileHandle): Promise<Uint8Array | undefined> {
  const buffer = Buffer.alloc(64 * 1024);
  try {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return undefined;
    throw error;
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Failure("it is not text in UTF-8");
  }
}

function unreadable(error: unknown): string {
  switch (errorCode(error)) {
    case "ENOENT":
      return "it is not there";
    case "EACCES":
      return "the user that this runs as has no right to";
    default:
      return errorText(error);
  }
}

async function stamp(path: string, settledBefore: number): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    if (Number(ctimeNs / 1_000_000n) > settledBefore) return "unsettled";
    return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
  } catch (error) {
    return errorCode(error) ?? errorText(error);
  }
}
