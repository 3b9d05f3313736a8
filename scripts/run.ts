interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string | undefined>;
}

/** Runs a command to its end and answers its standard output. Throws with all it said if it fails. */
export async function run(command: string[], options: RunOptions = {}): Promise<string> {
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (status !== 0) {
    const how = child.signalCode ? `was ended by ${child.signalCode}` : `ended with ${status}`;
    throw new Error(`${command.join(" ")} ${how}: ${(stderr || stdout).trim()}`);
  }
  return stdout;
}
