import { resolve } from "node:path";
import { Failure } from "../../lib/errors.ts";
import { type Prometheus, PrometheusNotRunning } from "../../prometheus.ts";
import {
  DEFAULT_RETENTION,
  parsePrometheusDuration,
  parsePrometheusSize,
  parseRetention,
  type Retention,
} from "./retention.ts";

/** What a running Prometheus tells of itself. */
export interface RunningPrometheus {
  /** Its base URL, for messages. */
  readonly url: string;
  readonly version: string;
  /** Absolute, as it sees it: in a container that is another path than here. */
  readonly dataDir: string;
  readonly retention: Retention;
  /** The same as `--retention` takes it: `15d,50GB`. */
  readonly retentionText: string;
  /** What has to be changed to keep more, as `storage.tsdb.retention.time in its configuration`. */
  readonly retentionSettings: Readonly<Record<keyof Retention, string>>;
  /** False if two blocks of the same time are an error to it, or stay two for ever. */
  readonly mergesOverlaps: boolean;
}

/**
 * Asks the Prometheus at an endpoint for its configuration.
 *
 * @returns undefined if there is none that answers; "starting" if it isn't ready to tell
 * @throws Failure if something else answers there
 */
export async function askPrometheus(
  prometheus: Prometheus,
): Promise<RunningPrometheus | "starting" | undefined> {
  try {
    const [flags, config, build, runtime] = [
      await prometheus.status("flags"),
      await prometheus.status("config"),
      await prometheus.status("buildinfo"),
      await prometheus.status("runtimeinfo"),
    ];
    if (!flags || !config || !build || !runtime) return "starting";
    const path = String(flags["storage.tsdb.path"] ?? "");
    if (path === "")
      throw new Failure(`Prometheus at ${prometheus.shown} tells no storage.tsdb.path`);
    const version = String(build["version"] ?? "");
    return {
      url: prometheus.shown,
      version,
      dataDir: resolve(String(runtime["CWD"] ?? "/"), path),
      ...retentionOf(flags, String(config["yaml"] ?? "")),
      mergesOverlaps: mergesOverlaps(version, flags),
    };
  } catch (error) {
    if (error instanceof PrometheusNotRunning) return undefined;
    throw error;
  }
}

/**
 * Since 3.x the configuration file has these settings, too, and outranks the flags; later versions
 * show it with those of the flags where it has none of its own.
 */
function retentionOf(flags: Readonly<Record<string, unknown>>, yaml: string) {
  const configured = configuredRetention(yaml);
  const flag = (name: string) => String(flags[`storage.tsdb.retention${name}`] ?? "");
  const first = (texts: readonly string[], parse: (text: string) => number | undefined) =>
    texts.find((text) => parse(text));
  const inFile = (name: string) => String(configured[name] ?? "");
  const time = first([inFile("time"), flag(".time"), flag("")], parsePrometheusDuration);
  const size = first([inFile("size"), flag(".size")], parsePrometheusSize);
  const percentage = Number(inFile("percentage")) > 0 ? `${inFile("percentage")}%` : undefined;
  const limits = [time, size, percentage].filter((limit) => limit !== undefined).join(",");
  const setting = (name: "time" | "size") => {
    const onCommandLine = `--storage.tsdb.retention.${name} on its command line`;
    if (configured[name] === undefined) return onCommandLine;
    const set = `storage.tsdb.retention.${name} in its configuration file`;
    return inFile(name) === flag(`.${name}`) ? `${onCommandLine} (or ${set})` : set;
  };
  return {
    retention: parseRetention(limits || DEFAULT_RETENTION),
    retentionText: limits || DEFAULT_RETENTION,
    retentionSettings: {
      time: setting("time"),
      bytes: setting("size"),
      percentage: "storage.tsdb.retention.percentage in its configuration file",
    },
  };
}

function configuredRetention(yaml: string): Readonly<Record<string, unknown>> {
  const config: unknown = Bun.YAML.parse(yaml);
  const retention = ["storage", "tsdb", "retention"].reduce(member, config);
  return typeof retention === "object" && retention !== null ? { ...retention } : {};
}

function member(parent: unknown, name: string): unknown {
  if (typeof parent !== "object" || parent === null) return undefined;
  return new Map<string, unknown>(Object.entries(parent)).get(name);
}

/** Before 2.39 overlaps had to be allowed; later a hidden flag keeps them from being merged. */
function mergesOverlaps(version: string, flags: Readonly<Record<string, unknown>>): boolean {
  if (isOlder(version, [2, 39])) return flags["storage.tsdb.allow-overlapping-blocks"] === "true";
  return flags["storage.tsdb.allow-overlapping-compaction"] !== "false";
}

/** Whether a version such as `2.42.0+ds` comes before another one. One that can't be read doesn't. */
export function isOlder(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (first === undefined || second === undefined) return false;
  return Number(first) < major || (Number(first) === major && Number(second) < minor);
}
