import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode, errorText } from "../../src/lib/errors.ts";
import { atEnd } from "../support/at-end.ts";
import { tempDir } from "../support/temp.ts";

/** Another test, in another process, may take the loop device that mount(8) has just found free. */
const ATTEMPTS = 20;

/** Mounts a file system on a new directory until the end of the test. */
export function mount(...args: string[]): string {
  const directory = join(tempDir(), "mounted");
  mkdirSync(directory);
  mountOn(directory, ...args);
  atEnd(() => {
    Bun.spawnSync(["umount", "--lazy", directory]);
  });
  return directory;
}

function mountOn(directory: string, ...args: string[]): void {
  for (let attempt = 1; ; attempt++) {
    const { exitCode, stderr } = Bun.spawnSync(["mount", ...args, directory]);
    if (exitCode === 0) return;
    if (attempt === ATTEMPTS || !stderr.includes("busy")) throw new Error(stderr.toString());
    Bun.sleepSync(50 * attempt);
  }
}

export function tmpfs(bytes: number): string {
  return mount("-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs");
}

/** An ext4 of 64 MB on a disk that fails beyond the first few: told by fsync(2). Needs mkfs.ext4. */
export function failingDisk(): string {
  // The disk is a sparse file for which there isn't the space.
  const image = join(tmpfs(6_000_000), "disk");
  writeFileSync(image, "");
  truncateSync(image, 64_000_000);
  succeed("mkfs.ext4", "-q", "-F", "-O", "^has_journal", image);
  return mount("-o", "loop", image);
}

/**
 * An ext4 of 64 MB on a disk that fails beyond the first six: told by write(2), with EIO. Needs
 * mkfs.ext4, and the kernel's zram.
 */
export function brokenDisk(): string {
  // A disk in memory, without the memory. A loop device would do, but tells the file's own ENOSPC.
  if (Bun.which("modprobe")) Bun.spawnSync(["modprobe", "--quiet", "zram"]);
  const control = "/sys/class/zram-control";
  const number = readFileSync(join(control, "hot_add"), "utf8").trim();
  atEnd(() => removeDisk(join(control, "hot_remove"), number));
  const settings = `/sys/block/zram${number}`;
  writeFileSync(join(settings, "disksize"), "64000000");
  writeFileSync(join(settings, "mem_limit"), "6000000");
  const device = `/dev/zram${number}`;
  succeed("mkfs.ext4", "-q", "-F", "-O", "^has_journal", device);
  return mount("-o", "sync", device);
}

/** What looks at each new disk may still have it open. */
function removeDisk(control: string, number: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      writeFileSync(control, number);
      return;
    } catch (error) {
      if (attempt === ATTEMPTS || errorCode(error) !== "EBUSY") throw error;
      Bun.sleepSync(50 * attempt);
    }
  }
}

/** An ext4 of 64 MB on a disk of which the power can be lost. Needs mkfs.ext4. */
export class Disk {
  /** Of its own accord it writes late, and nothing sooner because of a rename. */
  static readonly #OPTIONS = ["-o", "loop,commit=300,noauto_da_alloc"];
  #image = join(tempDir(), "disk");
  /** Where it is mounted. */
  readonly directory: string;

  constructor() {
    writeFileSync(this.#image, "");
    truncateSync(this.#image, 64_000_000);
    succeed("mkfs.ext4", "-q", "-F", this.#image);
    this.directory = mount(...Disk.#OPTIONS, this.#image);
  }

  /** Has everything written to the disk. */
  sync(): void {
    succeed("sync", "--file-system", this.directory);
  }

  /** From here on it holds what had been written to the disk, and nothing that the system had yet to write. */
  losePower(): void {
    const image = join(tempDir(), "disk");
    succeed("cp", "--sparse=always", this.#image, image);
    succeed("umount", this.directory);
    rmSync(this.#image);
    this.#image = image;
    mountOn(this.directory, ...Disk.#OPTIONS, image);
  }
}

/** A directory with a quota of so many bytes, of btrfs, whose quotas need no service. Needs mkfs.btrfs. */
export function quota(bytes: number): string {
  const image = join(tempDir(), "disk");
  writeFileSync(image, "");
  truncateSync(image, 128_000_000);
  succeed("mkfs.btrfs", "-q", image);
  const root = mount("-o", "loop", image);
  const limited = join(root, "limited");
  succeed("btrfs", "quota", "enable", root);
  succeed("btrfs", "subvolume", "create", limited);
  succeed("btrfs", "qgroup", "limit", String(bytes), limited);
  return limited;
}

/**
 * A directory that holds what `fill` puts there, on a disk whose second half can't be read any more:
 * told by read(2), with EIO. Needs mkfs.ext4.
 */
export function halfReadable(fill: (directory: string) => void): string {
  const image = join(tempDir(), "disk");
  writeFileSync(image, "");
  truncateSync(image, 64_000_000);
  succeed("mkfs.ext4", "-q", "-F", "-O", "^has_journal", image);
  // What is in the memory of the system would be read from there: so it is mounted anew.
  const written = mount("-o", "loop", image);
  fill(written);
  succeed("umount", written);
  const directory = mount("-o", "loop,ro", image);
  truncateSync(image, 32_000_000);
  return directory;
}

/** Fills the file system of a directory up, by a file there; answers its path. */
export function fillUp(directory: string): string {
  const filler = join(directory, "filler");
  Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=4k"], { stderr: "ignore" });
  return filler;
}

function succeed(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

const KINDS = {
  tmpfs: () => tmpfs(1_000_000),
  loop: failingDisk,
  zram: brokenDisk,
  quota: () => quota(1_000_000),
  disk: () => new Disk(),
};

/** Whether this user, on this machine, may mount; `kind` as one of the functions above. */
export function canMount(kind: keyof typeof KINDS): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    KINDS[kind]();
    return true;
  } catch (error) {
    // No right to it in a container, or the kernel hasn't got it.
    console.error(`no ${kind} for tests: ${errorText(error)}`);
    return false;
  }
}
