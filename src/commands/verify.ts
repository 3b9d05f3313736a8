import { stat } from "node:fs/promises";
import { Client, networkTransport } from "../api/client.ts";
import { shownArchive } from "../archive/open-archive.ts";
import { type Command, command, type Io } from "../lib/command-line/command.ts";
import { type FlagValues, httpUrl, optional, text, toggle } from "../lib/command-line/flags.ts";
import { interruptible } from "../lib/command-line/interrupt.ts";
import { DamagedError, errorText, Failure, UsageError } from "../lib/errors.ts";
import { counted } from "../lib/units.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import { expectedDigests, recordedDownload } from "../verify/compare.ts";
import { readArchive } from "../verify/read.ts";
import { readDirectory } from "../verify/read-directory.ts";
import {
  allProblems,
  jsonBroken,
  jsonReport,
  textReport,
  type VerifyResult,
} from "../verify/report.ts";
import { withChecks } from "./checks.ts";
import { type CommandContext, httpConfigFlag, openHttpConfig } from "./connection.ts";

const flags = {
  sha256: optional(sha256Hex, {
    description: "The SHA-256 that the archive must have.",
    valueHint: "HEX",
  }),
  server: optional(httpUrl, {
    description: "Compare with this server's record of its latest downloads.",
    valueHint: "URL",
  }),
  "http.config.file": httpConfigFlag,
  id: optional(text, {
    description:
      "Compare with the server's record of this download (the server by --server or PROMBACKUP_ENDPOINT).",
    valueHint: "ID",
  }),
  quick: toggle({
    description: "Check the container and each meta.json alone.",
    excludes: ["full"],
  }),
  full: toggle({ description: "Decode every sample, too." }),
  json: toggle({ description: "Tell the result as JSON on standard output." }),
};

/** `verify`: reads an archive to its end and tells whether it is whole, and the one it should be. */
export function verifyCommand({ checkWorkerUrl }: CommandContext): Command {
  return command({
    name: "verify",
    description: "Reads a backup to its end and tells whether Prometheus can read it.",
    details:
      "An archive's compression and structure are checked, and in each block the checksums of chunks, index and tombstones, the order and the references of the index, and the counts of meta.json. An archive's SHA-256 is compared with what there is to compare with: --sha256, FILE.sha256, or the server's record. Exit status 3: it is damaged, or another one than it should be.",
    operand: {
      name: "FILE",
      description:
        'The archive, in any of the formats; "-" is standard input. Or a directory: a block, a snapshot, an extracted archive, a data directory.',
      required: true,
    },
    flags,
    run: async (options, file = "-", io) => {
      const server = options.server ?? serverForId(options.id, io.env["PROMBACKUP_ENDPOINT"]);
      const http = await openHttpConfig(server && options["http.config.file"]);
      const client = server && new Client(server, networkTransport(http));
      const work = (checks: BlockChecks | undefined) =>
        interruptible((signal) => verify(file, options, client, io, checks, signal));
      const result = options.quick
        ? await work(undefined)
        : await withChecks(options.full ? "full" : "structure", checkWorkerUrl, work);
      if (options.json) io.out(`${JSON.stringify(jsonReport(result), null, 2)}\n`);
      else io.out(textReport(result));
      requireGood(result);
      if (client !== undefined && !result.compared_with.some(({ recorded }) => recorded)) {
        throw new Failure(
          "the server has no download of this SHA-256 on record (it keeps them for 15 minutes or more): is it another archive, or an older one?",
        );
      }
    },
  });
}

async function verify(
  file: string,
  options: FlagValues<typeof flags>,
  client: Client | undefined,
  io: Io,
  checks: BlockChecks | undefined,
  signal: AbortSignal,
): Promise<VerifyResult> {
  try {
    if (file !== "-" && (await isDirectory(file))) {
      refuseComparisons(file, options);
      return { file, ...(await readDirectory(file, checks, signal)), compared_with: [] };
    }
    const expected = await expectedDigests(file, options.sha256, options.id, client, signal);
    const read = await readArchive(file, checks, signal);
    const compared = expected.map((each) => ({ ...each, equal: each.sha256 === read.sha256 }));
    const record =
      client && options.id === undefined && (await recordedDownload(client, read.sha256, signal));
    return { file, ...read, compared_with: record ? [...compared, record] : compared };
  } catch (error) {
    if (options.json && error instanceof DamagedError)
      io.out(`${JSON.stringify(jsonBroken(file, errorText(error)), null, 2)}\n`);
    throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  // What can't be looked at can't be opened either, and that tells why.
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function refuseComparisons(file: string, options: FlagValues<typeof flags>): void {
  const given = (["sha256", "server", "id"] as const).find((name) => options[name] !== undefined);
  if (given !== undefined)
    throw new UsageError(`--${given} is about an archive, and ${file} is a directory`);
}

function sha256Hex(value: string): string {
  if (!/^[0-9a-fA-F]{64}$/.test(value)) throw new Error("a SHA-256 has 64 hexadecimal digits");
  return value.toLowerCase();
}

function serverForId(id: string | undefined, environment: string | undefined): URL | undefined {
  if (id === undefined) return undefined;
  if (!environment) throw new UsageError("--id needs --server (or PROMBACKUP_ENDPOINT)");
  try {
    return httpUrl(environment);
  } catch (cause) {
    throw new UsageError(`invalid value for PROMBACKUP_ENDPOINT: ${errorText(cause)}`, { cause });
  }
}

function requireGood(result: VerifyResult): void {
  const [first, ...others] = allProblems(result);
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${counted(others.length, "more problem")})`;
  throw new DamagedError(`${shownArchive(result.file)} is not a good backup: ${first}${more}`);
}
