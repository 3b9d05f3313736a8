#!/usr/bin/env -S bun --no-env-file --config=/dev/null
import { serverCommand } from "./commands/server.ts";
import { exitStatus, runSingle } from "./lib/command-line/program.ts";
import { versionText } from "./lib/command-line/version.ts";
import { errorText, UsageError } from "./lib/errors.ts";

const NAME = "prombackup-server";

// Written here since a compiled program finds its other entry points relative to the entry alone.
const command = serverCommand({
  compress: new URL("./archive/compress/worker.ts", import.meta.url),
  check: new URL("./tsdb/pool/worker.ts", import.meta.url),
});

// Backups go on when nobody reads the log any more.
process.stderr.on("error", () => {});

try {
  await runSingle(
    {
      name: NAME,
      version: () => versionText(NAME),
      help: () => command.help(NAME),
      commands: [command],
    },
    process.argv.slice(2),
    { env: process.env, out: (text) => void process.stdout.write(text) },
  );
} catch (error) {
  process.stderr.write(`${NAME}: ${errorText(error)}\n`);
  if (error instanceof UsageError) process.stderr.write(`Try "${NAME} --help".\n`);
  process.exitCode = exitStatus(error);
}
