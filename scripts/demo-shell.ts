import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { note, showCommand } from "./demo-screen.ts";
import { type RunningPrometheus, startPrometheus } from "./run-prometheus.ts";

/** A temporary directory in which commands are shown, then run with their output on the screen. */
export class DemoShell {
  readonly directory = mkdtempSync(join(tmpdir(), "prombackup-demo-"));
  readonly #programs: Readonly<Record<string, readonly string[]>>;
  readonly #background: { stop(): Promise<void> }[] = [];
  /** Without settings of the user's own. */
  readonly #env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("PROMBACKUP_")),
  );

  readonly #signal: AbortSignal;

  /**
   * `programs` says what to run for a name; other names are looked for on PATH. `signal` ends
   * whatever runs, so that the step at hand fails and {@link close} has little to wait for.
   */
  constructor(programs: Readonly<Record<string, readonly string[]>>, signal: AbortSignal) {
    this.#programs = programs;
    this.#signal = signal;
  }

  /** Answers the standard output, which was shown too. Throws if the command fails. */
  async run(name: string, ...args: string[]): Promise<string> {
    showCommand([name, ...args]);
    const child = Bun.spawn([...this.#program(name), ...args], {
      ...this.#spawning(),
      stdout: "pipe",
      stderr: "inherit",
    });
    const output = await child.stdout.text();
    process.stdout.write(output);
    const status = await child.exited;
    if (status !== 0)
      throw new Error(`${name} ${args[0]} ended with ${child.signalCode ?? status}`);
    return output;
  }

  export(name: string, value: string): void {
    showCommand(["export", `${name}=${value}`]);
    this.#env[name] = value;
  }

  /** Starts a Prometheus on the data in `name`/data. */
  async startPrometheus(name: string): Promise<RunningPrometheus> {
    const running = await startPrometheus({
      program: this.#program("prometheus").join(),
      directory: join(this.directory, name),
      signal: this.#signal,
    });
    this.#background.push(running);
    const [program = "", ...args] = running.command;
    const shown = args.map((arg) => arg.replace(`${this.directory}/`, ""));
    showCommand([basename(program), ...shown, "&"]);
    note(`ready at ${running.url}`);
    return running;
  }

  /** Starts prombackup-server, shows its log until it listens, and answers its URL. */
  async startServer(...args: string[]): Promise<string> {
    showCommand(["prombackup-server", ...args, "&"]);
    const child = Bun.spawn([...this.#program("prombackup-server"), ...args], {
      ...this.#spawning(),
      stdout: "inherit",
      stderr: "pipe",
    });
    this.#background.push({ stop: () => end(child) });
    return `http://${await listeningAddress(child.stderr)}`;
  }

  /** Ends what runs in the background, last come, first ended, and removes the directory. */
  async close(): Promise<void> {
    const running = this.#background.splice(0).reverse();
    for (const { stop } of running) await stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawning() {
    this.#signal.throwIfAborted();
    const { directory: cwd } = this;
    return { cwd, env: this.#env, stdin: "ignore", signal: this.#signal } as const;
  }

  #program(name: string): readonly string[] {
    return this.#programs[name] ?? [name];
  }
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await child.exited;
  clearTimeout(timer);
}

/** What the server logs later is read, so that it doesn't wait for us, and let go. */
async function listeningAddress(log: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const address = Promise.withResolvers<string>();
  (async () => {
    let text = "";
    let found: string | undefined;
    const decoder = new TextDecoder();
    for await (const chunk of log) {
      if (found !== undefined) continue;
      text += decoder.decode(chunk, { stream: true });
      found = /msg=listening address=(\S+)\n/.exec(text)?.[1];
      if (found === undefined) continue;
      process.stdout.write(text);
      address.resolve(found);
    }
    address.reject(new Error(`prombackup-server ended before it listened: ${text.trim()}`));
  })();
  return address.promise;
}
