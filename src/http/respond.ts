import { Failure } from "../lib/errors.ts";

/** An error with a status of its own; the message is the answer's one line. */
export class HttpError extends Failure {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** What lines were answered, for the log; gone with their answers. */
const LINES = new WeakMap<Response, string>();

/** The line of an answer that was made by {@link textResponse}. */
export function lineOf(response: Response): string | undefined {
  return LINES.get(response);
}

/** Answers of failures that have a line in the log, with more in it than the request's would. */
const LOGGED = new WeakSet<Response>();

/** Says that what this answers has its line in the log, so that the request gets none. */
export function loggedAlready(response: Response): Response {
  LOGGED.add(response);
  return response;
}

export function isLogged(response: Response): boolean {
  return LOGGED.has(response);
}

/** A line of plain text, as all errors are told. */
export function textResponse(
  status: number,
  line: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const response = new Response(`${line}\n`, {
    status,
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      ...headers,
    },
  });
  LINES.set(response, line);
  return response;
}

/** JSON in the form that the Go program writes: two spaces deep, a newline at the end. */
export function jsonResponse(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(`${JSON.stringify(value, null, 2)}\n`, {
    status,
    headers: { "Content-Type": "application/json; charset=utf-8", ...headers },
  });
}
