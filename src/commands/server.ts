import { DEFAULT_LEVELS, LEVEL_RANGES } from "../archive/write.ts";
import { allowedHost } from "../http/access/hosts.ts";
import { listenAddress, serve } from "../http/serve.ts";
import { type Command, command } from "../lib/command-line/command.ts";
import {
  byteRate,
  defaulted,
  durationFrom,
  httpUrl,
  list,
  oneOf,
  optional,
  required,
  text,
  toggle,
  wholeNumberFrom,
} from "../lib/command-line/flags.ts";
import { LOG_FORMATS, LOG_LEVELS, serverLog } from "../lib/log.ts";
import { chooseStateDir } from "../status/state-dir.ts";
import { openHttpConfig } from "./connection.ts";

const SECOND = 1000;

/** Each thread takes some 25 MiB. */
const MAX_THREADS = 256;

const { gzip, zstd } = LEVEL_RANGES;

/** `prombackup-server`: the flags, each with its environment variable, and what they start. */
export function serverCommand(workers: { compress: URL; check: URL }): Command {
  return command({
    name: "prombackup-server",
    description: "Serves snapshots of the Prometheus beside it as archives.",
    details:
      "It must run on the host of Prometheus, as a user that may read and remove what Prometheus writes to its data directory.",
    flags: {
      "listen-address": defaulted(listenAddress, ":8080", {
        description: "Where to listen: host:port, [::1]:port, or :port for all interfaces.",
        valueHint: "ADDRESS",
        env: "PROMBACKUP_SERVER_LISTEN_ADDRESS",
      }),
      "web.config.file": optional(text, {
        description:
          "TLS, users (basic_auth_users) and headers, in the form of Prometheus's own --web.config.file. Changes need no restart.",
        valueHint: "FILE",
        env: "PROMBACKUP_SERVER_WEB_CONFIG_FILE",
      }),
      "access-file": optional(text, {
        description:
          "What each user may do: read, create, prune. Without it, and for users that it doesn't name, everything.",
        valueHint: "FILE",
        env: "PROMBACKUP_SERVER_ACCESS_FILE",
      }),
      "web.allowed-hosts": list(allowedHost, {
        description:
          "The Host values that are served, with commas between: host, host:port, [address]. Others are answered 421, which stops DNS rebinding. Without it, all are served.",
        valueHint: "HOSTS",
        env: "PROMBACKUP_SERVER_WEB_ALLOWED_HOSTS",
      }),
      "prometheus-endpoint": defaulted(httpUrl, "http://:9090", {
        description: "Base URL of Prometheus, which must run with --web.enable-admin-api.",
        valueHint: "URL",
        env: "PROMBACKUP_SERVER_PROMETHEUS_ENDPOINT",
      }),
      "prometheus.http.config.file": optional(text, {
        description:
          "How to get into Prometheus: user and password, or a token, certificates, headers, in the form of promtool's --http.config.file.",
        valueHint: "FILE",
        env: "PROMBACKUP_SERVER_PROMETHEUS_HTTP_CONFIG_FILE",
      }),
      "snapshot-dir": required(text, {
        description: 'The directory "snapshots" within Prometheus\'s data directory.',
        valueHint: "DIR",
        env: "PROMBACKUP_SERVER_SNAPSHOT_DIR",
      }),
      autoprune: toggle({
        description: "Prune snapshots regularly.",
        env: "PROMBACKUP_SERVER_AUTOPRUNE_ENABLE",
      }),
      "autoprune-interval": defaulted(durationFrom(SECOND / 1000), "15m", {
        description: "How long to wait between two prunes, give or take a tenth.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_AUTOPRUNE_INTERVAL",
      }),
      "autoprune-keep-within": defaulted(durationFrom(0), "1h", {
        description: "Leave younger snapshots alone.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_AUTOPRUNE_KEEP_WITHIN",
      }),
      "snapshot-timeout": defaulted(durationFrom(1), "10m", {
        description: "How long Prometheus may take for a snapshot.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_SNAPSHOT_TIMEOUT",
      }),
      "state-dir": optional(text, {
        description:
          "Where to keep the record of downloads. Without it, systemd's STATE_DIRECTORY; without that, memory alone, and a restart ends the record.",
        valueHint: "DIR",
        env: "PROMBACKUP_SERVER_STATE_DIR",
      }),
      "history-keep-within": defaulted(durationFrom(0), "720h", {
        description: "How long the end of a download stays on record; 15 minutes at the least.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_HISTORY_KEEP_WITHIN",
      }),
      "history-max-rows": defaulted(wholeNumberFrom(0), "10000", {
        description: "How many downloads that have ended stay on record.",
        valueHint: "NUMBER",
        env: "PROMBACKUP_SERVER_HISTORY_MAX_ROWS",
      }),
      "max-downloads": defaulted(wholeNumberFrom(1), "16", {
        description:
          "How many downloads may run at once. More, and snapshots that would be for them, are answered 503 with Retry-After.",
        valueHint: "NUMBER",
        env: "PROMBACKUP_SERVER_MAX_DOWNLOADS",
      }),
      "stall-timeout": defaulted(durationFrom(SECOND / 100), "10m", {
        description:
          "Cut a download whose client takes less than 64 KiB in this time. A slow one that takes more goes on.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_STALL_TIMEOUT",
      }),
      "gzip-level": defaulted(wholeNumberFrom(gzip.from, gzip.to), String(DEFAULT_LEVELS.gzip), {
        description: `How hard tgz is compressed, ${gzip.from} to ${gzip.to}; at 1, chunks that hardly repeat are not searched for repetitions.`,
        valueHint: "LEVEL",
        env: "PROMBACKUP_SERVER_GZIP_LEVEL",
      }),
      "zstd-level": defaulted(wholeNumberFrom(zstd.from, zstd.to), String(DEFAULT_LEVELS.zstd), {
        description: `How hard tzst is compressed, ${zstd.from} to ${zstd.to}.`,
        valueHint: "LEVEL",
        env: "PROMBACKUP_SERVER_ZSTD_LEVEL",
      }),
      "compress-threads": optional(wholeNumberFrom(1, MAX_THREADS), {
        description:
          "How many threads compress, for all downloads together. Without it, one less than there are cores, since Prometheus's own work comes first.",
        valueHint: "NUMBER",
        env: "PROMBACKUP_SERVER_COMPRESS_THREADS",
      }),
      "limit-rate": optional(byteRate, {
        description:
          "The most bytes per second that all downloads together are sent; K, M and G stand for KiB, MiB and GiB.",
        valueHint: "RATE",
        env: "PROMBACKUP_SERVER_LIMIT_RATE",
      }),
      "log.format": defaulted(oneOf(LOG_FORMATS), "logfmt", {
        description: "How log lines are written: logfmt or json.",
        valueHint: "FORMAT",
        env: "PROMBACKUP_SERVER_LOG_FORMAT",
      }),
      "log.level": defaulted(oneOf(LOG_LEVELS), "info", {
        description: "Log only what is as severe as that: debug, info, warn or error.",
        valueHint: "LEVEL",
        env: "PROMBACKUP_SERVER_LOG_LEVEL",
      }),
      "verify-downloads": toggle({
        description:
          "Check the blocks of a download while it is sent, and break it off if Prometheus couldn't read them.",
        env: "PROMBACKUP_SERVER_VERIFY_DOWNLOADS",
      }),
      "shutdown-grace": defaulted(durationFrom(0), "30s", {
        description:
          "How long running downloads may go on after SIGTERM or SIGINT before they are cut.",
        valueHint: "DURATION",
        env: "PROMBACKUP_SERVER_SHUTDOWN_GRACE",
      }),
    },
    run: async (options, _operand, io) =>
      serve({
        listen: options["listen-address"],
        autoprune: options.autoprune
          ? {
              interval: options["autoprune-interval"],
              keepWithin: options["autoprune-keep-within"],
            }
          : undefined,
        shutdownGrace: options["shutdown-grace"],
        access: { webConfig: options["web.config.file"], rights: options["access-file"] },
        allowedHosts: options["web.allowed-hosts"],
        stateDir: chooseStateDir(
          options["state-dir"],
          io.env["STATE_DIRECTORY"],
          options["snapshot-dir"],
        ),
        history: {
          keepWithin: options["history-keep-within"],
          maxRows: options["history-max-rows"],
        },
        app: {
          prometheusEndpoint: options["prometheus-endpoint"],
          prometheusHttp: await openHttpConfig(options["prometheus.http.config.file"]),
          snapshotDir: options["snapshot-dir"],
          snapshotTimeout: options["snapshot-timeout"],
          maxDownloads: options["max-downloads"],
          stallTimeout: options["stall-timeout"],
          compression: {
            workerUrl: workers.compress,
            threads: options["compress-threads"],
            levels: { gzip: options["gzip-level"], zstd: options["zstd-level"] },
          },
          limitRate: options["limit-rate"],
          checkWorkerUrl: options["verify-downloads"] ? workers.check : undefined,
        },
        log: serverLog((line) => void process.stderr.write(line), {
          format: options["log.format"],
          level: options["log.level"],
        }),
      }),
  });
}
