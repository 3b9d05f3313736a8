import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../support/temp.ts";

const SOURCES = join(import.meta.dir, "../../src");

/** A new snapshot directory, with Prometheus's data directory around it. */
export function snapshotDirectory(): string {
  const path = join(tempDir(), "data", "snapshots");
  mkdirSync(path, { recursive: true });
  return path;
}

/** A block's ULID. */
export function ulid(number: number): string {
  return `01HX${String(number).padStart(22, "0")}`;
}

export interface BlockShape {
  readonly ulid: string;
  readonly minTime?: number;
  readonly maxTime?: number;
}

/** A block of little files, laid out as Prometheus does it. */
export function makeBlock(snapshot: string, shape: BlockShape): string {
  const path = join(snapshot, shape.ulid);
  mkdirSync(join(path, "chunks"), { recursive: true });
  writeFileSync(join(path, "chunks", "000001"), "chunk");
  writeFileSync(join(path, "index"), "index");
  writeFileSync(join(path, "tombstones"), "tomb");
  const { minTime = 0, maxTime = 1, ulid } = shape;
  const meta = { ulid, minTime, maxTime, version: 1, stats: {}, compaction: { level: 1 } };
  writeFileSync(join(path, "meta.json"), JSON.stringify(meta));
  return path;
}

/** A snapshot with so many blocks; its path. */
export function makeSnapshot(snapshotDir: string, name: string, blocks = 1): string {
  const path = join(snapshotDir, name);
  mkdirSync(path);
  for (let number = 0; number < blocks; number++) makeBlock(path, { ulid: ulid(number) });
  return path;
}

/** What lies directly in a directory, in order. */
export function names(directory: string): string[] {
  return readdirSync(directory).sort();
}

export interface OtherProcess {
  /** Writes a line to its standard input. */
  tell(line: string): void;
  /** Its next line on standard output; undefined when it has ended. */
  line(): Promise<string | undefined>;
  /** Kills it as nothing can be caught, and waits for its end. */
  kill(): Promise<void>;
  readonly exited: Promise<number>;
}

const running = new Set<{ kill(signal: "SIGKILL"): void }>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a program that talks by lines. */
export function start(command: readonly string[]): OtherProcess {
  const child = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  running.add(child);
  child.exited.finally(() => running.delete(child));
  const lines = readLines(child.stdout);
  return {
    tell(line) {
      child.stdin.write(`${line}\n`);
      child.stdin.flush();
    },
    line: async () => (await lines.next()).value,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    exited: child.exited,
  };
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

/** Holds a lock by util-linux's flock(1), as a process of its own, until it is killed. */
export async function flockFromOutside(
  directory: string,
  kind: "shared" | "exclusive",
): Promise<OtherProcess> {
  const hold = ["sh", "-c", "echo held; exec sleep 600"];
  const other = start(["flock", "--no-fork", "--nonblock", `--${kind}`, directory, ...hold]);
  if ((await other.line()) !== "held") throw new Error(`flock could not lock ${directory}`);
  return other;
}

/**
 * The command of a second Bun that runs this code, in which SOURCES is the path of src/ and `ARGS`
 * the arguments.
 */
export function bunCommand(code: string, ...args: readonly string[]): string[] {
  const prelude = `const ARGS = ${JSON.stringify(args)};`;
  return [process.execPath, "-e", prelude + code.replaceAll("SOURCES", SOURCES)];
}
