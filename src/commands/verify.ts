import { readFile } from "node:fs/promises";
import { Client, networkTransport } from "../api/client.ts";
import { decompress } from "../archive/decompress/decompress.ts";
import type { ArchiveFormat } from "../archive/format.ts";
import { BlockContents, type ContentReport } from "../archive/inspect/check-blocks.ts";
import { inspectArchive, type SnapshotReport } from "../archive/inspect/inspect.ts";
import { readTar } from "../archive/tar/reader.ts";
import { type Command, command } from "../lib/command.ts";
import { DamagedError, errorCode, errorText, Failure, UsageError } from "../lib/errors.ts";
import { httpUrl, optional, text, toggle } from "../lib/flags.ts";
import { interruptible } from "../lib/interrupt.ts";
import { startProgress } from "../lib/progress.ts";
import { counted, formatBytes, formatTime, table } from "../lib/units.ts";
import type { CheckLevel } from "../tsdb/check-block.ts";
import type { Finding } from "../tsdb/findings.ts";
import type { CommandContext } from "./connection.ts";

/** `verify`: reads an archive to its end and tells whether it is whole, and the one it should be. */
export function verifyCommand(context: CommandContext): Command {
  return command({
    name: "verify",
    description: "Reads an archive to its end and tells whether Prometheus can read it.",
    details:
      "Its compression and structure are checked, and in each block the checksums of chunks, index and tombstones, the order and the references of the index, and the counts of meta.json. Its SHA-256 is compared with what there is to compare with: --sha256, FILE.sha256, or the server's record. Exit status 3: the archive is damaged or another one than it should be.",
    operand: {
      name: "FILE",
      description: 'The archive, in any of the formats; "-" is standard input.',
      required: true,
    },
    flags: {
      sha256: optional(sha256Hex, {
        description: "The SHA-256 that the archive must have.",
        valueHint: "HEX",
      }),
      server: optional(httpUrl, {
        description: "Compare with this server's record of its latest downloads.",
        valueHint: "URL",
      }),
      id: optional(text, {
        description:
          "Compare with the server's record of this download (the server by --server or PROMBACKUP_ENDPOINT).",
        valueHint: "ID",
      }),
      quick: toggle({ description: "Check the container and each meta.json alone." }),
      full: toggle({ description: "Decode every sample, too." }),
      json: toggle({ description: "Tell the result as JSON on standard output." }),
    },
    run: (options, file = "-", io) => {
      if (options.quick && options.full)
        throw new UsageError("--quick and --full exclude each other");
      const level = options.quick ? undefined : options.full ? "full" : "structure";
      return interruptible(async (signal) => {
        const server = options.server ?? serverForId(options.id, io.env["PROMBACKUP_ENDPOINT"]);
        const read = await readArchive(file, level, signal);
        const comparisons = await compare(file, read.sha256, { ...options, server }, signal);
        const result = { file, ...read, compared_with: comparisons };
        if (options.json) io.out(`${JSON.stringify(jsonResult(result), null, 2)}\n`);
        else io.out(textResult(result));
        requireGood(result);
        for (const warning of read.report.warnings) context.log.warn(warning);
      });
    },
  });
}

interface Comparison {
  readonly with: string;
  readonly sha256: string;
  readonly equal: boolean;
}

interface ReadArchive {
  readonly format: ArchiveFormat;
  readonly bytes: number;
  readonly sha256: string;
  readonly report: SnapshotReport;
  /** Undefined with --quick. */
  readonly contents: ContentReport | undefined;
}

interface VerifyResult extends ReadArchive {
  readonly file: string;
  readonly compared_with: readonly Comparison[];
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

async function readArchive(
  file: string,
  level: CheckLevel | undefined,
  signal: AbortSignal,
): Promise<ReadArchive> {
  const source = file === "-" ? Bun.stdin : Bun.file(file);
  const progress = startProgress(file === "-" ? undefined : source.size);
  const hasher = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const chunk of opened(file, source)) {
      signal.throwIfAborted();
      hasher.update(chunk);
      bytes += chunk.byteLength;
      progress.add(chunk.byteLength);
      yield chunk;
    }
  }
  try {
    const { format, bytes: tar } = await decompress(measured());
    const contents = level && new BlockContents(level);
    const entries = readTar(tar);
    const report = await inspectArchive(contents?.watch(entries) ?? entries);
    return { format, bytes, sha256: hasher.digest("hex"), report, contents: contents?.report() };
  } catch (error) {
    if (error instanceof DamagedError)
      throw new DamagedError(`${shown(file)} is damaged: ${errorText(error)}`);
    throw error;
  } finally {
    progress.end();
  }
}

async function* opened(
  file: string,
  source: ReturnType<typeof Bun.file>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source.stream();
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") throw new Failure(`${file} doesn't exist`);
    if (cause instanceof Error && errorCode(cause) !== undefined)
      throw new Failure(`${shown(file)} can't be read: ${errorText(cause)}`, { cause });
    throw cause;
  }
}

interface ComparisonSources {
  readonly sha256: string | undefined;
  readonly server: URL | undefined;
  readonly id: string | undefined;
}

async function compare(
  file: string,
  actual: string,
  sources: ComparisonSources,
  signal: AbortSignal,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  const add = (name: string, sha256: string) =>
    comparisons.push({ with: name, sha256, equal: sha256 === actual });
  if (sources.sha256 !== undefined) add("--sha256", sources.sha256);
  const beside = file === "-" ? undefined : await checksumFile(`${file}.sha256`);
  if (beside !== undefined) add(`${file}.sha256`, beside);
  if (sources.server !== undefined) {
    const client = new Client(sources.server, networkTransport);
    add(...(await serverRecord(client, sources.id, actual, signal)));
  }
  return comparisons;
}

async function checksumFile(path: string): Promise<string | undefined> {
  const content = await readFile(path, "utf8").catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new Failure(`${path} can't be read: ${errorText(error)}`);
  });
  if (content === undefined) return undefined;
  const digest = /^\\?([0-9a-fA-F]{64})[ \t]/.exec(content)?.[1];
  if (digest === undefined)
    throw new Failure(`${path} doesn't hold a SHA-256 as sha256sum writes it`);
  return digest.toLowerCase();
}

async function serverRecord(
  client: Client,
  id: string | undefined,
  actual: string,
  signal: AbortSignal,
): Promise<[string, string]> {
  if (id !== undefined) {
    const { finished } = await client.downloadStatus(id, signal);
    if (finished === null) throw new Failure(`download ${id} is still running on the server`);
    if (!finished.success)
      throw new DamagedError(`the server's download ${id} failed: ${finished.error_text}`);
    return [`the server's record of download ${id}`, finished.sha256_hex.toLowerCase()];
  }
  const match = (await client.downloads(signal)).find(
    ({ finished }) => finished?.sha256_hex === actual,
  );
  if (match === undefined) {
    throw new Failure(
      `the server has no download with SHA-256 ${actual} on record: it keeps them for 15 minutes, in memory`,
    );
  }
  return [`the server's record of download ${match.id}`, actual];
}

/** All that is wrong, in lines. */
function problems({ sha256, compared_with, report, contents }: VerifyResult): string[] {
  const different = compared_with.filter(({ equal }) => !equal);
  return [
    ...different.map((c) => `its SHA-256 is ${sha256}, but ${c.with} says ${c.sha256}`),
    ...report.errors,
    ...findings(contents, "error").map(findingText),
    // What the contents tell is told once.
    ...(contents === undefined ? report.blocks.flatMap(blockErrors) : []),
  ];
}

function blockErrors(block: SnapshotReport["blocks"][number]): string[] {
  return block.errors.map((error) => `block ${block.ulid}: ${error}`);
}

function findings(contents: ContentReport | undefined, severity: Finding["severity"]): Finding[] {
  if (contents === undefined) return [];
  const all = [...contents.blocks.flatMap((block) => block.findings), ...contents.across];
  return all.filter((finding) => finding.severity === severity);
}

function findingText({
  block,
  file,
  offset,
  message,
  affects,
  consequence,
  remedy,
}: Finding): string {
  const place = [
    `block ${block}`,
    ...(file ? [file] : []),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
  ];
  const concerns = affects === undefined ? "" : ` (${affects})`;
  const prometheus =
    consequence === "none" ? "Prometheus doesn't mind" : `in Prometheus: ${consequence}`;
  return `${place.join(", ")}: ${message}${concerns}; ${prometheus}; ${remedy}`;
}

function requireGood(result: VerifyResult): void {
  const [first, ...others] = problems(result);
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${counted(others.length, "more problem")})`;
  throw new DamagedError(`${shown(result.file)} is not a good backup: ${first}${more}`);
}

function shown(file: string): string {
  return file === "-" ? "standard input" : file;
}

function textResult(result: VerifyResult): string {
  const { report, contents } = result;
  const checked = new Map(contents?.blocks.map((block) => [block.block, block]));
  const verdict = ({ ulid, errors }: SnapshotReport["blocks"][number]) => {
    const found = checked.get(ulid);
    if ((found?.errors ?? errors.length) > 0) return "damaged";
    return found?.warnings ? "ok, with warnings" : "ok";
  };
  const rows = report.blocks.map((block) => [
    block.ulid,
    formatTime(block.minTime === undefined ? undefined : new Date(block.minTime)),
    formatTime(block.maxTime === undefined ? undefined : new Date(block.maxTime)),
    String(block.numSeries ?? "-"),
    String(block.numSamples ?? "-"),
    formatBytes(block.bytes),
    verdict(block),
  ]);
  const head = ["BLOCK", "FROM", "TO", "SERIES", "SAMPLES", "SIZE", "VERDICT"];
  const told = [
    ...problems(result).map((line) => `error: ${line}\n`),
    ...findings(contents, "warning").map((finding) => `warning: ${findingText(finding)}\n`),
  ];
  const blocks = rows.length === 0 ? "" : `${table(head, rows, ["SERIES", "SAMPLES", "SIZE"])}\n`;
  const compared = result.compared_with.map(
    (c) => `compared with ${c.with}: ${c.equal ? "equal" : `DIFFERENT, ${c.sha256}`}\n`,
  );
  return (
    `${blocks}snapshot ${report.name ?? "-"}: ${counted(report.blocks.length, "block")}, ${formatBytes(result.bytes)} as ${result.format}\n` +
    `SHA-256 ${result.sha256}\n` +
    told.join("") +
    (compared.length > 0
      ? compared.join("")
      : "nothing to compare the SHA-256 with: no --sha256, no checksum file, no --server\n")
  );
}

function jsonResult(result: VerifyResult) {
  const { file, format, bytes, sha256, report, contents, compared_with } = result;
  return {
    file,
    ok: problems(result).length === 0,
    format,
    bytes,
    sha256,
    compared_with,
    snapshot: report.name ?? null,
    blocks: report.blocks,
    errors: report.errors,
    warnings: report.warnings,
    contents: contents ?? null,
  };
}
