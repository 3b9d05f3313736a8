import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { Client, IncomingDownload } from "../api/client.ts";
import { requireProven } from "../api/contract.ts";
import { ARCHIVE_FORMATS, type ArchiveFormat, FORMAT_DETAILS } from "../archive/format.ts";
import { type Command, command } from "../lib/command.ts";
import { errorCode, errorText, Failure, UsageError } from "../lib/errors.ts";
import { choiceOfBoolean, defaulted, oneOf, optional, text, toggle } from "../lib/flags.ts";
import type { Log } from "../lib/log.ts";
import { startProgress } from "../lib/progress.ts";
import {
  checkTarget,
  openFileSink,
  removeLeftovers,
  type Sink,
  standardOutputSink,
  writeFileAtomically,
} from "../lib/sink.ts";
import { formatBytes } from "../lib/units.ts";
import { type CommandContext, connectionFlags, withConnection } from "./connection.ts";

/** How long the removal of a snapshot may take when the command is being interrupted. */
const CLEANUP_TIMEOUT_MS = 10_000;

/** `create`: takes a snapshot, downloads it, and proves that it arrived whole. */
export function createCommand(context: CommandContext): Command {
  return command({
    name: "create",
    description: "Takes a snapshot and downloads it as an archive.",
    details:
      "The target is not touched until the archive is complete, proven by its SHA-256 to be what the server sent, and on disk. If anything fails, the directory is as it was before.",
    flags: {
      ...connectionFlags,
      format: defaulted(oneOf(ARCHIVE_FORMATS), "tar", {
        description: "The archive's format: tar; tgz (gzip); or tzst (zstd), smaller and faster.",
        valueHint: "FORMAT",
      }),
      output: optional(text, {
        description:
          'Where to write the archive; "-" is standard output. Without it, a file in the current directory under the server\'s name for it, which must not exist yet.',
        valueHint: "FILE",
      }),
      "skip-head": toggle({
        description: "Leave out the newest data, which is not in a block yet.",
      }),
      "checksum-file": toggle({
        description: "Write FILE.sha256 too, for sha256sum -c and for prombackup verify.",
      }),
      "remove-snapshot": choiceOfBoolean({
        description:
          "Remove the snapshot afterwards, also after a failure. The default with --snapshot-dir; --remove-snapshot=false keeps it.",
      }),
      json: toggle({ description: "Tell the result as JSON on standard output." }),
    },
    run: (options, _operand, io) => {
      const { output, json } = options;
      if (output === "-" && json)
        throw new UsageError("--json and --output - both want standard output");
      if (output === "-" && options["checksum-file"]) {
        throw new UsageError("--checksum-file needs a file, and --output is standard output");
      }
      return withConnection(options, context, async ({ client, local, signal }) => {
        const request = {
          output,
          format: options.format,
          skipHead: options["skip-head"],
          checksumFile: options["checksum-file"],
          removeSnapshot: options["remove-snapshot"] ?? local,
        };
        const result = await create(client, request, context.log, signal);
        if (json) io.out(`${JSON.stringify(result, null, 2)}\n`);
        else context.log.info(resultText(result));
      });
    },
  });
}

function resultText({ file, bytes, snapshot, sha256 }: CreateResult): string {
  return `wrote ${file ?? "standard output"} (${formatBytes(bytes)}), snapshot ${snapshot}, SHA-256 ${sha256}`;
}

interface CreateRequest {
  readonly format: ArchiveFormat;
  readonly output: string | undefined;
  readonly skipHead: boolean;
  readonly checksumFile: boolean;
  readonly removeSnapshot: boolean;
}

/** What `create --json` prints. */
interface CreateResult {
  readonly snapshot: string;
  /** Null: standard output. */
  readonly file: string | null;
  readonly format: ArchiveFormat;
  readonly bytes: number;
  readonly sha256: string;
  readonly download_id: string;
  readonly seconds: number;
  readonly snapshot_removed: boolean;
}

async function create(
  client: Client,
  request: CreateRequest,
  log: Log,
  signal: AbortSignal,
): Promise<CreateResult> {
  const startedAt = performance.now();
  await prepareTarget(request);
  const snapshot = await client.createSnapshot(request.skipHead, signal);
  let proven: Awaited<ReturnType<typeof fetchArchive>>;
  try {
    proven = await fetchArchive(client, snapshot, request, signal);
  } catch (error) {
    if (request.removeSnapshot) await removeAfterFailure(client, snapshot, log);
    throw error;
  }
  if (request.removeSnapshot) await removeAfterSuccess(client, snapshot, proven.file);
  return {
    snapshot,
    ...proven,
    format: request.format,
    seconds: Number(((performance.now() - startedAt) / 1000).toFixed(3)),
    snapshot_removed: request.removeSnapshot,
  };
}

/** All that can be known to fail is found before a server is asked for anything. */
async function prepareTarget({ output, format }: CreateRequest): Promise<void> {
  if (output === "-") return;
  if (output === undefined) {
    const { extension } = FORMAT_DETAILS[format];
    const defaultName = new RegExp(
      `^[A-Za-z0-9]+-[A-Za-z0-9]+${extension.replaceAll(".", "\\.")}$`,
    );
    return removeLeftovers(".", defaultName);
  }
  await checkTarget(output);
}

async function fetchArchive(
  client: Client,
  snapshot: string,
  request: CreateRequest,
  signal: AbortSignal,
) {
  const download = await client.download(snapshot, request.format, signal);
  const { sink, file } = await openTarget(request, download);
  try {
    const { bytes, sha256 } = await receive(download, sink, signal);
    requireProven(await client.downloadStatus(download.id, signal), sha256, bytes);
    signal.throwIfAborted();
    await sink.commit();
    if (request.checksumFile && file !== null) {
      await writeFileAtomically(`${file}.sha256`, `${sha256}  ${basename(file)}\n`);
    }
    return { file, bytes, sha256, download_id: download.id };
  } catch (error) {
    await sink.discard();
    throw signal.aborted ? signal.reason : error;
  }
}

async function openTarget(
  request: CreateRequest,
  download: IncomingDownload,
): Promise<{ sink: Sink; file: string | null }> {
  if (request.output === "-") return { sink: standardOutputSink(), file: null };
  const file = resolve(request.output ?? download.fileName);
  if (request.output === undefined && (await exists(file))) {
    throw new Failure(`${file} exists already: name another file with --output`);
  }
  return { sink: await openFileSink(file), file };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    },
  );
}

async function receive(
  download: IncomingDownload,
  sink: Sink,
  signal: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  const hasher = new Bun.CryptoHasher("sha256");
  const progress = startProgress(download.archiveSize);
  let bytes = 0;
  try {
    for await (const chunk of cancellable(download.body, signal)) {
      hasher.update(chunk);
      await sink.write(chunk);
      bytes += chunk.byteLength;
      progress.add(chunk.byteLength);
    }
  } catch (cause) {
    if (cause instanceof Failure || signal.aborted) throw cause;
    throw new Failure(
      `download ${download.id} broke off after ${bytes} bytes: ${errorText(cause)}`,
      { cause },
    );
  } finally {
    progress.end();
  }
  return { bytes, sha256: hasher.digest("hex") };
}

async function* cancellable(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    signal.throwIfAborted();
    yield chunk;
  }
}

/** The failure that is under way is the one to tell; that the snapshot stays is a warning. */
async function removeAfterFailure(client: Client, snapshot: string, log: Log): Promise<void> {
  try {
    await client.removeSnapshot(snapshot, AbortSignal.timeout(CLEANUP_TIMEOUT_MS));
  } catch (error) {
    log.warn(`snapshot ${snapshot} stays on the server: ${errorText(error)}`);
  }
}

async function removeAfterSuccess(
  client: Client,
  snapshot: string,
  file: string | null,
): Promise<void> {
  try {
    await client.removeSnapshot(snapshot, AbortSignal.timeout(CLEANUP_TIMEOUT_MS));
  } catch (cause) {
    throw new Failure(
      `${file ?? "the archive"} is complete and proven, but snapshot ${snapshot} could not be removed from the server: ${errorText(cause)}`,
      { cause },
    );
  }
}
