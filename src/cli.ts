#!/usr/bin/env -S bun --no-env-file --config=/dev/null
import { createCommand } from "./commands/create.ts";
import { helpCommands, programHelp } from "./commands/help.ts";
import { listCommand } from "./commands/list.ts";
import { pruneCommand } from "./commands/prune.ts";
import { restoreCommand } from "./commands/restore.ts";
import { verifyCommand } from "./commands/verify.ts";
import { EXIT, exitStatus, Interrupted, runCommands } from "./lib/command-line/program.ts";
import { versionText } from "./lib/command-line/version.ts";
import { errorCode, errorText, UsageError } from "./lib/errors.ts";
import { plainLog } from "./lib/log.ts";

const NAME = "prombackup";

const context = {
  log: plainLog(NAME, (line) => void process.stderr.write(line)),
  // Written here since a compiled program finds its other entry points relative to the entry alone.
  workerUrl: new URL("./archive/compress/worker.ts", import.meta.url),
  checkWorkerUrl: new URL("./tsdb/pool/worker.ts", import.meta.url),
};
const work = [
  createCommand(context),
  verifyCommand(context),
  restoreCommand(context),
  listCommand(context),
  pruneCommand(context),
];
const commands = [...work, ...helpCommands(work)];

// A reader that leaves early (head) must not end in a stack trace; writers are told by their callbacks.
process.stdout.on("error", (error) => {
  process.exitCode ||= EXIT.failed;
  if (errorCode(error) !== "EPIPE")
    process.stderr.write(`${NAME}: can't write to standard output: ${errorText(error)}\n`);
});
// Where messages can't be told any more, the exit status still tells.
process.stderr.on("error", () => {});

try {
  await runCommands(
    { name: NAME, version: () => versionText(NAME), help: () => programHelp(commands), commands },
    process.argv.slice(2),
    { env: process.env, out: (text) => void process.stdout.write(text) },
  );
} catch (error) {
  process.stderr.write(`${NAME}: ${errorText(error)}\n`);
  if (error instanceof UsageError) process.stderr.write(`Try "${NAME} help".\n`);
  // What is stuck in the system, such as the opening of a pipe, would keep an interrupted program.
  if (error instanceof Interrupted) process.exit(exitStatus(error));
  process.exitCode = exitStatus(error);
}
