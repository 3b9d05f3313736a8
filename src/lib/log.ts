// Without the reporters for terminals, which would take a tenth of the start.
import { type ConsolaReporter, createConsola } from "consola/core";

/** Facts of a log line besides its message; undefined ones are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** As Prometheus's --log.format. */
export const LOG_FORMATS = ["logfmt", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** As Prometheus's --log.level; nothing is said at debug alone so far. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** consola's levels, set whatever NODE_ENV says. */
const CONSOLA_LEVEL: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 3, debug: 4 };

/** The server's log: one line an event, with the keys of Prometheus 3's own, on standard error. */
export function serverLog(
  write: (line: string) => void,
  { format, level }: { readonly format: LogFormat; readonly level: LogLevel },
): Log {
  const line = format === "json" ? jsonLine : logfmt;
  return consolaLog(level, {
    log: ({ type, args, date }) => {
      const [message, fields] = args;
      const shown = type === "warn" ? "WARN" : type === "error" ? "ERROR" : "INFO";
      const head = { time: date.toISOString(), level: shown, msg: String(message) };
      write(`${line({ ...head, ...fields })}\n`);
    },
  });
}

/** The command line's messages: the text alone, its facts behind it, on standard error. */
export function plainLog(program: string, write: (line: string) => void): Log {
  return consolaLog("info", {
    log: ({ type, args }) => {
      const [message, fields] = args;
      const facts = logfmt(fields ?? {});
      const severity = type === "warn" ? "warning: " : "";
      write(`${program}: ${severity}${message}${facts === "" ? "" : ` (${facts})`}\n`);
    },
  });
}

function consolaLog(level: LogLevel, reporter: ConsolaReporter): Log {
  const consola = createConsola({
    level: CONSOLA_LEVEL[level],
    reporters: [reporter],
    throttle: 0,
  });
  return {
    info: (message, fields) => consola.info(message, fields),
    warn: (message, fields) => consola.warn(message, fields),
    error: (message, fields) => consola.error(message, fields),
  };
}

/** A JSON object; what isn't plain text in a value is escaped, so that a terminal stays as it is. */
function jsonLine(fields: LogFields): string {
  return escapeControls(JSON.stringify(fields));
}

/** Key-value pairs in logfmt; a value is quoted if it holds anything but plain printable ASCII. */
export function logfmt(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quote(String(value))}`)
    .join(" ");
}

function quote(value: string): string {
  // Printable ASCII but space, quotation mark, equals sign and backslash.
  if (/^[!#-<>-[\]-~]+$/.test(value)) return value;
  return escapeControls(JSON.stringify(value));
}

/** JSON leaves C1 controls, bidi marks and the like as they are: a hostile name mustn't steer a terminal. */
function escapeControls(json: string): string {
  return json.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}
