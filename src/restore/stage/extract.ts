import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import type { TarEntry } from "../../archive/tar/reader.ts";
import { errorCode, Failure } from "../../lib/errors.ts";
import { formatBytes } from "../../lib/units.ts";
import { reason, UNCHANGED } from "../failed.ts";
import { placeOf } from "../intake/intake.ts";
import type { Ownership } from "../ownership.ts";

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Writes blocks into a directory while somebody else reads the entries: what is read is what was
 * written. Each file is synced as it ends; the directories when all of it has.
 */
export class Extraction {
  readonly #root: string;
  readonly #shown: string;
  readonly #ownership: Ownership;
  readonly #wanted: (ulid: string) => boolean;
  /** Below the root. */
  readonly #directories = new Set<string>();

  /**
   * @param root the way to the directory, which exists and is empty
   * @param shown what messages call it
   * @param wanted says which blocks are written; of the others nothing is
   */
  constructor(
    root: string,
    shown: string,
    ownership: Ownership,
    wanted: (ulid: string) => boolean,
  ) {
    this.#root = root;
    this.#shown = shown;
    this.#ownership = ownership;
    this.#wanted = wanted;
  }

  /**
   * Passes on the entries of wanted blocks, whose bodies are written as they are read; they must be
   * read to their end.
   *
   * @param entries those that {@link ./intake.ts} lets in, so that no name leads elsewhere
   * @throws Failure if something can't be written
   */
  async *watch(entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
    for await (const entry of entries) {
      const place = placeOf(entry.path.replace(/^\.\//, "").split("/").slice(1).join("/"));
      if (place === undefined) yield entry;
      if (place === undefined || !this.#wanted(place.ulid)) continue;
      const path = place.path === "" ? place.ulid : `${place.ulid}/${place.path}`;
      if (entry.type === "directory") this.#makeDirectories(path);
      else this.#makeDirectories(path.slice(0, path.lastIndexOf("/")));
      yield entry.type === "directory" ? entry : { ...entry, body: this.#written(path, entry) };
    }
  }

  /** Gives the directories their owner and mode, and makes durable what they hold. */
  finish(): void {
    for (const path of [...this.#directories].toSorted().reverse()) this.#finishDirectory(path);
    this.#finishDirectory("");
  }

  /** Takes a block away again. */
  remove(ulid: string): void {
    for (const path of this.#directories) {
      if (path === ulid || path.startsWith(`${ulid}/`)) this.#directories.delete(path);
    }
    rmSync(`${this.#root}/${ulid}`, { recursive: true, force: true });
  }

  async *#written(path: string, { size, body }: TarEntry): AsyncGenerator<Uint8Array> {
    this.#requireSpace(size);
    const fd = this.#named(path, () => openSync(`${this.#root}/${path}`, NEW_FILE, 0o600));
    try {
      for await (const piece of body) {
        this.#named(path, () => writeWhole(fd, piece));
        yield piece;
      }
      this.#named(path, () => {
        this.#giveAway(fd, this.#ownership.fileMode);
        fsyncSync(fd);
      });
    } finally {
      closeSync(fd);
    }
  }

  #makeDirectories(path: string): void {
    const parts = path.split("/");
    for (let depth = 1; depth <= parts.length; depth++) {
      const directory = parts.slice(0, depth).join("/");
      if (this.#directories.has(directory)) continue;
      this.#named(directory, () => mkdirSync(`${this.#root}/${directory}`, { mode: 0o700 }));
      this.#directories.add(directory);
    }
  }

  #finishDirectory(path: string): void {
    this.#named(path, () => {
      const fd = openSync(
        `${this.#root}/${path}`,
        constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
      );
      try {
        this.#giveAway(fd, this.#ownership.directoryMode);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  /** The mode comes last: a change of owner takes some bits of it away. */
  #giveAway(fd: number, mode: number): void {
    fchownSync(fd, this.#ownership.uid, this.#ownership.gid);
    fchmodSync(fd, mode);
  }

  #requireSpace(size: number): void {
    const { bavail, bsize } = statfsSync(this.#root);
    if (size <= bavail * bsize) return;
    const left = formatBytes(bavail * bsize);
    throw new Failure(
      `no space left for ${formatBytes(size)} in ${this.#shown}: ${left} are free: ${UNCHANGED}`,
    );
  }

  #named<T>(path: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof Failure) throw cause;
      const what = `can't write ${this.#shown}/${path}`;
      const remedy = errorCode(cause) === "EPERM" ? "run as root, or without --owner" : UNCHANGED;
      throw new Failure(`${what}: ${reason(cause)}: ${remedy}`);
    }
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
