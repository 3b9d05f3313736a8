import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");

const PROGRAMS = [
  { name: "prombackup-server", entry: "src/server.ts" },
  { name: "prombackup", entry: "src/cli.ts" },
];

/** Entry points of their own: the bundler can't see them behind a computed URL. */
const WORKERS = ["src/archive/compress/worker.ts", "src/tsdb/pool/worker.ts"];

/** Compiles both programs into `directory`, which is made if it is missing. Throws on any failure. */
export async function build(directory: string): Promise<void> {
  const define = {
    PROMBACKUP_COMMIT: JSON.stringify(commit()),
    PROMBACKUP_BUILT: JSON.stringify(buildTime()),
  };
  const target = resolve(directory);
  for (const { name, entry } of PROGRAMS) {
    await compile(target, name, [entry, ...WORKERS], define);
  }
}

async function compile(
  directory: string,
  name: string,
  entries: string[],
  define: Record<string, string>,
): Promise<void> {
  mkdirSync(directory, { recursive: true });
  // Beside the target, so that the finished program gets its name in one step, and the source maps
  // that the bundler drops next to it (they are embedded as well) stay out of the result.
  const scratch = mkdtempSync(join(directory, ".build-"));
  try {
    await Bun.build({
      entrypoints: entries.map((entry) => join(ROOT, entry)),
      root: join(ROOT, "src"),
      target: "bun",
      format: "esm",
      bytecode: true,
      sourcemap: "inline",
      define,
      compile: {
        outfile: join(scratch, name),
        // A server must not take settings from a file that happens to lie where it was started.
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
    });
    renameSync(join(scratch, name), join(directory, name));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The short commit id, `-dirty` if a tracked file differs; `unknown` outside a git checkout. */
function commit(): string {
  const git = (...args: string[]) => {
    if (!Bun.which("git")) return undefined;
    const { exitCode, stdout } = Bun.spawnSync(["git", "-C", ROOT, ...args], { stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim() : undefined;
  };
  const id = git("rev-parse", "--short", "HEAD");
  if (id === undefined) return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") ? `${id}-dirty` : id;
}

/** Now, or SOURCE_DATE_EPOCH (seconds), by which packagers make a build reproducible. */
function buildTime(): string {
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  if (epoch && !/^\d+$/.test(epoch)) {
    throw new Error(`SOURCE_DATE_EPOCH must be whole seconds since 1970, not "${epoch}"`);
  }
  const time = epoch ? new Date(Number(epoch) * 1000) : new Date();
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

/** `bun scripts/build.ts [DIRECTORY]`; dist/ if it isn't named. */
if (import.meta.main) {
  const directory = process.argv[2] ?? join(ROOT, "dist");
  await build(directory);
  const programs = PROGRAMS.map(({ name }) => relative(ROOT, join(directory, name)));
  console.log(`compiled ${programs.join(" and ")}`);
}
