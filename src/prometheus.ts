import { errorCode, errorText, Failure } from "./lib/errors.ts";
import { hideUser } from "./lib/network/hide-user.ts";
import type { HttpConfig } from "./lib/network/http-config.ts";
import { noAnswerReason, sendRequest } from "./lib/network/requests.ts";
import { isSnapshotName } from "./snapshots/name.ts";

/** Prometheus answered its snapshot call with a name that can't be a snapshot's. */
class MalformedSnapshotName extends Failure {
  constructor(name: unknown) {
    super(`invalid snapshot name: ${JSON.stringify(name)}`);
  }
}

/** Nothing listens there: Prometheus isn't running, or not yet. */
export class PrometheusNotRunning extends Failure {}

/** More than any answer to the snapshot call; what is longer isn't one. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** More than any configuration or metrics. */
const MAX_STATUS_BYTES = 64 * 1024 * 1024;

/** How long Prometheus may take to say that it is ready. */
const READY_TIMEOUT_MS = 5000;
/** And to tell what it is and does. */
const STATUS_TIMEOUT_MS = 10_000;

/** The calls of Prometheus's HTTP API that a backup and a restore need. */
export class Prometheus {
  /**
   * @param endpoint Base URL, its path ending in a slash.
   * @param config How to get in, if that takes more than the URL.
   */
  constructor(
    private readonly endpoint: URL,
    private readonly config?: HttpConfig,
  ) {}

  /**
   * Has Prometheus write a snapshot below its data directory (`POST
   * /api/v1/admin/tsdb/snapshot`), and tells its name.
   *
   * @throws Failure with Prometheus's reason and what to do about it; MalformedSnapshotName.
   */
  async createSnapshot(skipHead: boolean, signal: AbortSignal): Promise<string> {
    const url = new URL("api/v1/admin/tsdb/snapshot", this.endpoint);
    url.searchParams.set("skip_head", String(skipHead));
    const response = await this.call("POST", url, signal);
    const answer = parseAnswer(await this.body(response));
    if (response.status >= 300 && response.status < 400) throw this.redirected(response);
    if (response.ok && answer !== undefined && answer["status"] === "success")
      return snapshotName(answer["data"]);
    throw new Failure(this.refusal(response.status, answer));
  }

  /** Whether Prometheus answers and has loaded its data; otherwise why not. */
  async notReadyReason(): Promise<string | undefined> {
    try {
      const url = new URL("-/ready", this.endpoint);
      const response = await this.call("GET", url, AbortSignal.timeout(READY_TIMEOUT_MS));
      await response.body?.cancel();
      if (response.ok) return undefined;
      if (response.status === 401) return this.refusal(response.status, undefined);
      return `Prometheus at ${this.shown} is not ready: it answers ${response.status}`;
    } catch (error) {
      return errorText(error);
    }
  }

  /**
   * What `GET /api/v1/status/NAME` tells.
   *
   * @returns undefined while Prometheus starts: it answers nothing but 503 then
   * @throws PrometheusNotRunning; Failure if it can't be reached, or what answers is no Prometheus
   */
  async status(
    name: "buildinfo" | "config" | "flags" | "runtimeinfo",
  ): Promise<Record<string, unknown> | undefined> {
    const { response, text } = await this.look(`api/v1/status/${name}`);
    const answer = parseAnswer(text);
    if (response.status === 503) return undefined;
    if (response.status >= 300 && response.status < 400) throw this.redirected(response);
    const data = answer?.["data"];
    if (!response.ok || typeof data !== "object" || data === null)
      throw new Failure(this.refusal(response.status, answer));
    return { ...data };
  }

  /** The value of a metric of Prometheus's own that has no labels; undefined if there is none. */
  async metric(name: string): Promise<number | undefined> {
    const { response, text } = await this.look("metrics");
    const value = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1];
    return response.ok && value !== undefined ? Number(value) : undefined;
  }

  private async look(path: string): Promise<{ response: Response; text: string }> {
    const limit = AbortSignal.timeout(STATUS_TIMEOUT_MS);
    try {
      const response = await this.call("GET", new URL(path, this.endpoint), limit);
      return { response, text: await this.body(response, MAX_STATUS_BYTES) };
    } catch (error) {
      if (!limit.aborted) throw error;
      const waited = `no answer within ${STATUS_TIMEOUT_MS / 1000} s`;
      throw new Failure(`can't reach Prometheus at ${this.shown}: ${waited}`);
    }
  }

  private async call(method: string, url: URL, signal: AbortSignal): Promise<Response> {
    try {
      return await sendRequest(url, { method, signal }, this.config);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof Failure) throw cause;
      const UnreachableError = errorCode(cause) === "ECONNREFUSED" ? PrometheusNotRunning : Failure;
      throw new UnreachableError(
        `can't reach Prometheus at ${this.shown}: ${noAnswerReason(cause, url)}: is Prometheus running, and is --prometheus-endpoint right?`,
      );
    }
  }

  private async body(response: Response, limit = MAX_ANSWER_BYTES): Promise<string> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > limit) break;
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** The endpoint for messages: user and password in it are nobody's business. */
  get shown(): string {
    const url = new URL(this.endpoint);
    url.username = "";
    url.password = "";
    return url.href;
  }

  private redirected(response: Response): Failure {
    const to = response.headers.get("Location") ?? "elsewhere";
    return new Failure(
      `${this.shown} redirects to ${hideUser(to)}: set --prometheus-endpoint to where Prometheus itself is, with its route prefix`,
    );
  }

  private refusal(status: number, answer: Record<string, unknown> | undefined): string {
    const reason = answer === undefined ? undefined : answer["error"];
    if (status === 401)
      return `${this.shown} lets nobody in without user and password: give them by --prometheus.http.config.file`;
    if (typeof reason !== "string") {
      return `${this.shown} answered ${status}, and not in Prometheus's form: is --prometheus-endpoint right?`;
    }
    // Prometheus answers 500 here, so only the text tells.
    if (reason.includes("admin APIs disabled"))
      return `${reason}: start Prometheus with --web.enable-admin-api`;
    if (reason.includes("Prometheus Agent"))
      return `${reason}: in agent mode Prometheus keeps no database that could be backed up`;
    return `${reason} (HTTP ${status})`;
  }
}

function parseAnswer(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? { ...json } : undefined;
  } catch {
    // Not JSON: an HTML page of a proxy, most likely. The caller says so.
    return undefined;
  }
}

function snapshotName(data: unknown): string {
  const name: unknown =
    typeof data === "object" && data !== null && "name" in data ? data.name : undefined;
  if (typeof name !== "string" || !isSnapshotName(name)) throw new MalformedSnapshotName(name);
  return name;
}
