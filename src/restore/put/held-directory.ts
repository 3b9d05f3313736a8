import { closeSync, fchmodSync, fchownSync, openSync } from "node:fs";
import { descriptorPath, HOLD_DIRECTORY } from "../../snapshots/held.ts";
import type { Ownership } from "../ownership.ts";

/**
 * A directory that is reached by its descriptor, so that what its name comes to mean meanwhile makes
 * no difference: root restores where another user may rename things.
 */
export class HeldDirectory {
  readonly #fd: number;

  /** @throws the system's error, also if it is a symbolic link */
  constructor(path: string) {
    this.#fd = openSync(path, HOLD_DIRECTORY);
  }

  /** The way to what it holds. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  get path(): string {
    return descriptorPath(this.#fd);
  }

  /** Gives it its owner and its mode. */
  give({ uid, gid, directoryMode }: Ownership): void {
    fchownSync(this.#fd, uid, gid);
    fchmodSync(this.#fd, directoryMode);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
