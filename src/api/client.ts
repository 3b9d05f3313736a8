import { type ArchiveFormat, FORMAT_DETAILS } from "../archive/format.ts";
import { formatDuration } from "../lib/duration.ts";
import { Failure, retryable } from "../lib/errors.ts";
import { hideUser } from "../lib/network/hide-user.ts";
import type { HttpConfig } from "../lib/network/http-config.ts";
import {
  brokenOffReason,
  neverConnected,
  noAnswerReason,
  sendRequest,
} from "../lib/network/requests.ts";
import { Silence } from "../lib/network/silence.ts";
import {
  type DownloadStatus,
  HEADERS,
  type PruneAnswer,
  ROUTES,
  readCreatedName,
  readDownloadStatus,
  readDownloads,
  readPrune,
  readSnapshots,
  type SnapshotAnswer,
} from "./contract.ts";

/** How requests get answered: over the network, or by a server's app within this process. */
export type Transport = (request: Request) => Promise<Response>;

/** An archive on its way. */
export interface IncomingDownload {
  readonly id: string;
  /** A plain file name, never a path. */
  readonly fileName: string;
  /** Bytes of the body, if the server tells. */
  readonly archiveSize: number | undefined;
  /** Bytes of the tar before compression, if the server tells. */
  readonly contentSize: number | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** For one whose body nobody has begun to read: ends it, so that the server stops sending. */
  cancel(): Promise<void>;
}

/** The server answered, but not as was hoped. */
export class Refused extends Failure {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** More than any answer but an archive. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Longer than that no server keeps us waiting, whatever it asks for. */
const LONGEST_RETRY_AFTER_MS = 5 * 60 * 1000;

/** Sends requests over the network. */
export function networkTransport(config: HttpConfig | undefined): Transport {
  return ({ url, method, signal }) => sendRequest(new URL(url), { method, signal }, config);
}

/** How long a client waits, in milliseconds. */
export interface ClientLimits {
  /** For a snapshot, or another answer that takes work. */
  readonly answer: number;
  /** For the next bytes of an archive, its first included. */
  readonly silence: number;
}

export const DEFAULT_LIMITS: ClientLimits = { answer: 30 * 60 * 1000, silence: 10 * 60 * 1000 };

/** The client of a prombackup server, this program's or Go's. */
export class Client {
  /**
   * @param base The server's URL; a path prefix is kept.
   * @param remote False for the app within this process: no server is spoken of then.
   */
  constructor(
    private readonly base: URL,
    private readonly transport: Transport,
    private readonly remote = true,
    private readonly limits: ClientLimits = DEFAULT_LIMITS,
  ) {}

  /** Has a snapshot taken and tells its name. */
  async createSnapshot(skipHead: boolean, signal: AbortSignal): Promise<string> {
    const query = new URLSearchParams({ skip_head: String(skipHead) });
    // The name is read from the answer itself, be it a redirect to the download or not.
    return readCreatedName(
      await this.json("POST", ROUTES.createSnapshot, query, signal, [200, 303]),
    );
  }

  /** Starts a download; errors of its body are thrown while the body is read. */
  async download(
    name: string,
    format: ArchiveFormat,
    signal: AbortSignal,
  ): Promise<IncomingDownload> {
    const query = new URLSearchParams({ format, name });
    const { silence: limit } = this.limits;
    const answer = await this.send("GET", ROUTES.download, query, signal, limit);
    const { response, silence } = answer;
    const { body } = response;
    if (response.status !== 200 || body === null) throw await this.refusal("GET", answer, signal);
    const id = response.headers.get(HEADERS.downloadId);
    if (!id) {
      await body.cancel();
      throw new Failure(
        `the answer has no ${HEADERS.downloadId} header, so the download can't be proven: is this a prombackup server?`,
      );
    }
    return {
      id,
      fileName: fileName(
        response.headers.get("Content-Disposition"),
        `${name}${FORMAT_DETAILS[format].extension}`,
      ),
      archiveSize: byteCount(response.headers.get(HEADERS.archiveSize)),
      contentSize: byteCount(response.headers.get(HEADERS.contentSize)),
      body: silence.pieces(body),
      cancel: () => body.cancel(),
    };
  }

  /** What became of a download. */
  async downloadStatus(id: string, signal: AbortSignal): Promise<DownloadStatus> {
    return readDownloadStatus(
      await this.json("GET", ROUTES.downloadStatus, new URLSearchParams({ id }), signal),
    );
  }

  /** The downloads that the server has on record. Ours alone. */
  async downloads(signal: AbortSignal): Promise<DownloadStatus[]> {
    return readDownloads(await this.json("GET", ROUTES.downloads, undefined, signal));
  }

  /** The server's snapshots, newest first. Ours alone. */
  async listSnapshots(signal: AbortSignal): Promise<SnapshotAnswer[]> {
    return readSnapshots(await this.json("GET", ROUTES.snapshots, undefined, signal));
  }

  /** Removes a snapshot that isn't in use. Ours alone. */
  async removeSnapshot(name: string, signal: AbortSignal): Promise<void> {
    await this.json("DELETE", `${ROUTES.snapshots}/${encodeURIComponent(name)}`, undefined, signal);
  }

  /** Removes the snapshots that are older than so many milliseconds and not in use. */
  async prune(keepWithin: number, signal: AbortSignal): Promise<PruneAnswer | undefined> {
    const query = new URLSearchParams({ keep_within: formatDuration(keepWithin) });
    return readPrune(await this.json("POST", ROUTES.prune, query, signal));
  }

  private async json(
    method: string,
    route: string,
    query: URLSearchParams | undefined,
    signal: AbortSignal,
    statuses: readonly number[] = [200],
  ): Promise<unknown> {
    const answer = await this.send(method, route, query, signal, this.limits.answer);
    const { response } = answer;
    if (!statuses.includes(response.status)) throw await this.refusal(method, answer, signal);
    const text = await boundedText(answer, signal);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Failure(
        `${response.url || route} answered something that isn't JSON: is this a prombackup server?`,
        { cause },
      );
    }
  }

  private async send(
    method: string,
    route: string,
    query: URLSearchParams | undefined,
    signal: AbortSignal,
    limit: number,
  ): Promise<Answer> {
    const url = new URL(route.slice(1), this.base);
    url.search = query?.toString() ?? "";
    const shown = `${method} ${url.origin}${url.pathname}`;
    const silent = `${shown}: nothing came for ${formatDuration(limit)}: the network or the server is stuck`;
    const silence = new Silence(limit, signal, again(method, new Failure(silent)));
    const request = new Request(url.href, { method, signal: silence.signal });
    try {
      const response = await silence.bounded(this.transport(request));
      return { response, silence, method, shown };
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof Failure) throw cause;
      const failure = new Failure(
        `${shown}: ${noAnswerReason(cause, url)}: is prombackup-server running there?`,
      );
      throw neverConnected(cause) ? retryable(failure) : again(method, failure);
    }
  }

  /** An answer that isn't the one hoped for, in the server's own words. */
  private async refusal(method: string, answer: Answer, signal: AbortSignal): Promise<Failure> {
    // The app within this process answers an interrupt, too.
    signal.throwIfAborted();
    const { response } = answer;
    const { status } = response;
    const location = response.headers.get("Location");
    if (status >= 300 && status < 400 && location !== null) {
      await response.body?.cancel();
      return new Refused(
        status,
        `the server redirects to ${hideUser(location)}, which is not followed: name that address with --server if it is the right one`,
      );
    }
    const text = (await boundedText(answer, signal)).trim().split("\n")[0]?.slice(0, 1000) ?? "";
    if (!this.remote) return new Refused(status, text);
    const hint =
      text === "404 page not found"
        ? ": this server doesn't offer that, or --server needs another path"
        : status === 401
          ? ": user and password are missing or wrong, give them by --http.config.file"
          : "";
    const refused = new Refused(status, `the server answered ${status}: ${text}${hint}`);
    const seconds = response.headers.get("Retry-After") ?? "";
    // Who names a time has done nothing yet; a proxy that lost its server doesn't know.
    if (status === 503 && /^\d+$/.test(seconds))
      return retryable(refused, Math.min(Number(seconds) * 1000, LONGEST_RETRY_AFTER_MS));
    return status >= 502 && status <= 504 ? again(method, refused) : refused;
  }
}

/** A response, and the guard that its body is to be read with. */
interface Answer {
  readonly response: Response;
  readonly silence: Silence;
  readonly method: string;
  /** What was asked, for messages. */
  readonly shown: string;
}

/** What only asks can be asked again; what changes something may have done so, answered or not. */
function again<F extends Failure>(method: string, failure: F): F {
  return method === "GET" ? retryable(failure) : failure;
}

async function boundedText(answer: Answer, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(answer, signal)) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES)
      throw new Failure("the server's answer doesn't end: is this a prombackup server?");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function* bodyOf(
  { response, silence, method, shown }: Answer,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  try {
    yield* silence.pieces(response.body);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof Failure) throw cause;
    throw again(method, new Failure(`${shown}: the answer broke off: ${brokenOffReason(cause)}`));
  }
}

function byteCount(header: string | null): number | undefined {
  const size = Number(header ?? Number.NaN);
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined;
}

/** The server's file name if it is one; a name that could lead elsewhere is replaced. */
function fileName(disposition: string | null, fallback: string): string {
  const name = /;\s*filename="?([A-Za-z0-9][A-Za-z0-9._-]{0,200})"?\s*(?:;|$)/i.exec(
    disposition ?? "",
  )?.[1];
  return name ?? fallback;
}
