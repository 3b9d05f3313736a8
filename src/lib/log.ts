import { type ConsolaReporter, createConsola } from "consola";

/** Facts of a log line besides its message; undefined ones are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** consola's level that lets errors, warnings and information through, whatever NODE_ENV says. */
const LEVEL_INFO = 3;

/** The server's log: one logfmt line an event, in the form of Prometheus 3's own, on standard error. */
export function logfmtLog(write: (line: string) => void): Log {
  return consolaLog({
    log: ({ type, args, date }) => {
      const [message, fields] = args;
      const level = type === "warn" ? "WARN" : type === "error" ? "ERROR" : "INFO";
      write(`${logfmt({ time: date.toISOString(), level, msg: String(message), ...fields })}\n`);
    },
  });
}

/** The command line's messages: the text alone, its facts behind it, on standard error. */
export function plainLog(program: string, write: (line: string) => void): Log {
  return consolaLog({
    log: ({ type, args }) => {
      const [message, fields] = args;
      const facts = logfmt(fields ?? {});
      const severity = type === "warn" ? "warning: " : "";
      write(`${program}: ${severity}${message}${facts === "" ? "" : ` (${facts})`}\n`);
    },
  });
}

function consolaLog(reporter: ConsolaReporter): Log {
  const consola = createConsola({ level: LEVEL_INFO, reporters: [reporter], throttle: 0 });
  return {
    info: (message, fields) => consola.info(message, fields),
    warn: (message, fields) => consola.warn(message, fields),
    error: (message, fields) => consola.error(message, fields),
  };
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
  // JSON leaves C1 controls, bidi marks and the like as they are: a hostile name mustn't reach a
  // terminal raw.
  return JSON.stringify(value).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}
