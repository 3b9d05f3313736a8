import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errorCode, errorText, Failure } from "../errors.ts";
import type { Section } from "./section.ts";
import { parseYaml } from "./yaml.ts";

/** A file that has changed so shortly before it was read may change again under the same time. */
const UNSETTLED_MS = 100;

/** Reads the files of a configuration, and tells afterwards whether one of them has changed. */
export class ConfigFiles {
  readonly #stamps = new Map<string, string>();

  /** @throws Failure that names the file */
  async yaml(path: string): Promise<Section> {
    return parseYaml(await this.text(path), path);
  }

  /** @throws Failure that names the file */
  async text(path: string): Promise<string> {
    this.#stamps.set(path, await stamp(path, Date.now() - UNSETTLED_MS));
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
    } catch (cause) {
      const reason = errorCode(cause) === "ENOENT" ? "it is not there" : errorText(cause);
      throw new Failure(`${path} can't be read: ${reason}`, { cause });
    }
  }

  /** Whether a file that was read, or should have been, is another than it was then. */
  async changed(): Promise<boolean> {
    for (const [path, before] of this.#stamps) {
      if ((await stamp(path, Number.POSITIVE_INFINITY)) !== before) return true;
    }
    return false;
  }
}

/** A path in a configuration file is relative to that file. */
export function besideFile(configFile: string, path: string): string {
  return resolve(dirname(configFile), path);
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
