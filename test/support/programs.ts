import { join } from "node:path";
import { atEnd } from "./at-end.ts";

const ROOT = join(import.meta.dir, "..", "..");

/** Where the programs run from: their sources, the compiled binaries in dist/, or those elsewhere. */
export type Origin = "source" | "compiled" | { readonly directory: string };

const COMMANDS: Record<
  Extract<Origin, string>,
  Record<"prombackup" | "prombackup-server", readonly string[]>
> = {
  source: {
    prombackup: [process.execPath, join(ROOT, "src", "cli.ts")],
    "prombackup-server": [process.execPath, join(ROOT, "src", "server.ts")],
  },
  compiled: {
    prombackup: [join(ROOT, "dist", "prombackup")],
    "prombackup-server": [join(ROOT, "dist", "prombackup-server")],
  },
};

export interface RunOptions {
  readonly origin?: Origin;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: Blob | Uint8Array;
  /** A command that runs the program, such as `["setpriv", "--clear-groups"]`. */
  readonly under?: readonly string[];
}

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line of a program, to be spawned by a test that wants more than its result. */
export function commandLine(
  program: "prombackup" | "prombackup-server",
  args: readonly string[],
  origin: Origin = defaultOrigin(),
): string[] {
  const command =
    typeof origin === "string" ? COMMANDS[origin][program] : [join(origin.directory, program)];
  return [...command, ...args];
}

/** A run of all tests compiles the programs first: so they start in a third of the time. */
export function builtPrograms(): string | undefined {
  return process.env["PROMBACKUP_TEST_PROGRAMS"];
}

function defaultOrigin(): Origin {
  const directory = builtPrograms();
  return directory === undefined ? "source" : { directory };
}

/** An environment in which no setting of the developer's own is found. */
export function cleanEnvironment(
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { PATH = "", HOME = "" } = process.env;
  return { PATH, HOME, ...extra };
}

/** Runs `prombackup` or `prombackup-server` to its end. */
export async function run(
  program: "prombackup" | "prombackup-server",
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const command = [...(options.under ?? []), ...commandLine(program, args, options.origin)];
  const child = Bun.spawn(command, {
    env: cleanEnvironment(options.env),
    cwd: options.cwd ?? ROOT,
    stdin: options.stdin ?? null,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { status, stdout, stderr };
}

export interface RunningServer {
  readonly url: string;
  readonly pid: number;
  /** All that it has logged so far. */
  log(): string;
  /** Sends a signal and waits for the exit status; all that was logged is there then. */
  stop(signal?: NodeJS.Signals): Promise<number>;
}

/** Starts a server on a free port of loopback and waits until it listens. It ends with the test file. */
export async function startServer(
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunningServer> {
  const child = Bun.spawn(
    [
      ...(options.under ?? []),
      ...commandLine(
        "prombackup-server",
        ["--listen-address", "127.0.0.1:0", ...args],
        options.origin,
      ),
    ],
    {
      env: cleanEnvironment(options.env),
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  atEnd(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let log = "";
  const listening = Promise.withResolvers<string>();
  const logged = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      log += decoder.decode(chunk, { stream: true });
      const [, address, more = ""] =
        /listening"?[ ,]"?address"?[=:]"?([^\s",}]+)(.*)\n/.exec(log) ?? [];
      const scheme = /tls"?[=:]true/.test(more) ? "https" : "http";
      if (address !== undefined) listening.resolve(`${scheme}://${address}`);
    }
    listening.reject(new Error(`the server ended before it listened:\n${log}`));
  })();
  const url = await listening.promise;
  return {
    url,
    pid: child.pid,
    log: () => log,
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      await logged;
      return child.exited;
    },
  };
}
