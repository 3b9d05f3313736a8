import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isBarred, visible } from "../restore/kill-support.ts";
import { archiveOf, blockNames, listing } from "../restore/support.ts";
import { cleanEnvironment, commandLine } from "../support/programs.ts";
import { makeBlocks } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";

/** Without them there is nothing to restore. */
export const CAN_RESTORE = needs("promtool", "tar");

/** One block, of which most is one file of chunks. */
const made = CAN_RESTORE ? (await makeBlocks({ hours: 2, series: 20 })).dataDir : "";
const NEW = visible(made);
export const BLOCK = CAN_RESTORE ? (blockNames(made)[0] ?? "") : "";
export const ARCHIVE = CAN_RESTORE ? archiveOf(made) : "";

const CHUNKS = join(BLOCK, "chunks", "000001");

/** The largest file of the archive, and where its content begins there. */
export const LARGEST = CAN_RESTORE ? largest() : { size: 0, offset: 0 };

function largest(): { size: number; offset: number } {
  const content = readFileSync(join(made, CHUNKS));
  return { size: content.length, offset: readFileSync(ARCHIVE).indexOf(content) };
}

/** How blocks get to their place: all by one exchange, into a mount point, or one alone. */
export type Way = "exchange" | "within" | "block";

/** A place to restore to: a data directory with what must not be lost, and nothing beside it. */
export class Place {
  readonly parent: string;
  readonly target: string;
  /** Where the blocks are extracted to. */
  readonly staging: string;
  readonly #way: Way;
  readonly #before: Record<string, string>;
  readonly #old: Record<string, string>;

  constructor(parent = join(tempDir(), "parent"), way: Way = "exchange") {
    this.parent = parent;
    this.target = join(parent, "data");
    this.#way = way;
    this.staging =
      way === "exchange"
        ? join(parent, ".data.prombackup-restore")
        : join(this.target, ".prombackup-restore");
    mkdirSync(join(this.target, "wal"), { recursive: true });
    writeFileSync(join(this.target, "wal", "00000000"), "precious");
    cpSync(join(made, BLOCK), join(this.target, BLOCK), { recursive: true });
    writeFileSync(join(this.target, BLOCK, "index"), "damaged");
    this.#before = listing(parent);
    this.#old = visible(this.target);
  }

  /** Where the largest file of the archive is written to. */
  get staged(): string {
    return join(this.staging, "data", CHUNKS);
  }

  /** Those of a restore that replaces what it holds. */
  args(archive = ARCHIVE): string[] {
    const only = this.#way === "block" ? ["--block", BLOCK] : [];
    return [archive, "--data-dir", this.target, "--replace", ...only];
  }

  /** Restores; `under` is a command that runs the program. */
  async restore(under: readonly string[] = []) {
    const command = [...under, ...commandLine("prombackup", ["restore", ...this.args()])];
    const script = 'mount --bind "$0" "$0" && exec "$@"';
    const mounting = ["unshare", "--mount", "sh", "-c", script, this.target];
    const child = Bun.spawn(this.#way === "within" ? [...mounting, ...command] : command, {
      env: cleanEnvironment(),
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const stderr = await child.stderr.text();
    return { status: await child.exited, stderr };
  }

  /**
   * `old`: all is as it was. `new`: what was asked for and nothing else is in place, what that has
   * replaced is kept once, and there are no traces. `twice`: so it is after two restores, of which the
   * first was complete. Anything else is `between`.
   */
  get state(): "old" | "new" | "twice" | "between" {
    if (Bun.deepEquals(listing(this.parent), this.#before)) return "old";
    const [old, wanted] = this.#contents();
    const beside = readdirSync(this.parent).filter((name) => name !== "data");
    const within = readdirSync(this.target).filter((name) => name.startsWith("."));
    const asides = [
      ...beside.map((name) => join(this.parent, name)),
      ...within.map((name) => join(this.target, name)),
    ];
    if (!asides.every((path) => path.includes("before-restore-"))) return "between";
    if (!Bun.deepEquals(visible(this.target), this.#whole)) return "between";
    const others = asides
      .map((path) => visible(path))
      .filter((content) => !Bun.deepEquals(content, old));
    if (asides.length - others.length !== 1) return "between";
    if (others.length === 0) return "new";
    return others.every((content) => Bun.deepEquals(content, wanted)) ? "twice" : "between";
  }

  /** What a Prometheus finds there: `barred` keeps it from starting. */
  get found(): "old" | "new" | "barred" | "other" {
    const entries = Object.entries(visible(this.target));
    const found = Object.fromEntries(entries.filter(([path]) => !path.includes("/.prombackup-")));
    if (Bun.deepEquals(found, this.#old)) return "old";
    if (Bun.deepEquals(found, this.#whole)) return "new";
    return isBarred(this.target) ? "barred" : "other";
  }

  /** All that is there when it is restored. */
  get #whole(): Record<string, string> {
    return this.#way === "block" ? { ...this.#old, ...NEW } : NEW;
  }

  /** What goes aside, and what takes its place. */
  #contents(): [Record<string, string>, Record<string, string>] {
    if (this.#way !== "block") return [this.#old, NEW];
    const ofBlock = ([path]: [string, string]) => path.startsWith(BLOCK);
    return [Object.fromEntries(Object.entries(this.#old).filter(ofBlock)), NEW];
  }
}

interface Tampering {
  readonly call: string;
  /** What is done to it, in strace's words: `error=EIO`, `signal=SIGINT`. */
  readonly how: string;
  /** Which of the calls, as strace has it: "2", or "2+" for all from there on. */
  readonly when: string;
  /** Calls about others are left alone; without it those of the whole program are counted. */
  readonly files?: readonly string[];
}

/** A restore in which a system call fails, or a signal comes; `done` is whether one did. */
export async function tamper(place: Place, { call, how, when, files = [] }: Tampering) {
  const trace = join(tempDir(), "trace");
  const strace = ["strace", "-f", "-qq", "-o", trace];
  // Much faster, but signals get lost by it.
  if (how.startsWith("error")) strace.push("--seccomp-bpf");
  for (const file of files) strace.push("-P", file);
  strace.push("-e", `trace=${call}`, "-e", `inject=${call}:${how}:when=${when}`);
  const finished = await place.restore(strace);
  const done = /\(INJECTED\)|--- SIG(INT|TERM)/.test(readFileSync(trace, "utf8"));
  return { ...finished, done };
}
