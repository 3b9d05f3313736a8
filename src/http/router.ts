import { errorText } from "../lib/errors.ts";
import { CreationStopped, QueueFull } from "../snapshots/create.ts";
import {
  InvalidSnapshotName,
  SnapshotInUse,
  SnapshotInvalid,
  SnapshotNotFound,
} from "../snapshots/errors.ts";
import type { Right } from "./access/rights.ts";
import { HttpError, textResponse } from "./respond.ts";

/** What of a request's connection a handler may need. */
export interface Connection {
  /** Who asks, for the log; undefined within one process. */
  readonly peer: string | undefined;
  /** What who asks may do. */
  readonly rights: ReadonlySet<Right>;
  /** Lifts the server's idle time limit for this exchange, which would cut a slow one. */
  readonly holdOpen: () => void;
  /** Bytes of the answer that the kernel still has to send; undefined if none, or none are known. */
  readonly unsent: () => number | undefined;
  /** Whether a piece of the answer is copied, and done with, before the next one is asked for. */
  readonly copies: boolean;
  /** Cuts the connection, whatever of the answer is still to be sent. False if there is no way to. */
  readonly reset: () => boolean;
}

/** A request, and who asks. */
export interface Exchange extends Connection {
  readonly request: Request;
  readonly url: URL;
  /** What a path held in place of the route's final `*`, as it stood there. */
  readonly rest: string;
}

export type Handler = (exchange: Exchange) => Response | Promise<Response>;

export interface Route {
  /** A path, or a path ending in `*` for any one further segment. */
  readonly path: string;
  /** `*` for any method. HEAD counts as a method of its own. */
  readonly methods: Readonly<Record<string, Handler>>;
  /** An API route answers OPTIONS, and tells its methods in Access-Control-Allow-Methods. */
  readonly api: boolean;
  /** Who asks must have one of them; none: it is for everyone. */
  readonly rights: readonly Right[];
}

/** Finds the handler of a request and tells its errors in the contract's form. */
export async function dispatch(
  routes: readonly Route[],
  exchange: Omit<Exchange, "rest">,
): Promise<Response> {
  const { pathname } = exchange.url;
  for (const route of routes) {
    const rest = match(route.path, pathname);
    if (rest === undefined) continue;
    const response = await answer(route, { ...exchange, rest });
    if (route.api) response.headers.set("Access-Control-Allow-Methods", allowedMethods(route));
    return response;
  }
  return textResponse(404, "404 page not found");
}

/** The path of the route that a request is for, as it is defined; "other" if there is none. */
export function routeOf(routes: readonly Route[], pathname: string): string {
  return routes.find(({ path }) => match(path, pathname) !== undefined)?.path ?? "other";
}

function match(pattern: string, path: string): string | undefined {
  if (!pattern.endsWith("*")) return pattern === path ? "" : undefined;
  const prefix = pattern.slice(0, -1);
  const rest = path.startsWith(prefix) ? path.slice(prefix.length) : "";
  return rest === "" || rest.includes("/") ? undefined : rest;
}

async function answer(route: Route, exchange: Exchange): Promise<Response> {
  const { method } = exchange.request;
  if (route.api && method === "OPTIONS") return new Response(null);
  const handler = route.methods[method] ?? route.methods["*"];
  if (handler === undefined) {
    return textResponse(405, "Method Not Allowed", {
      Allow: Object.keys(route.methods).join(", "),
    });
  }
  if (route.rights.length > 0 && !route.rights.some((right) => exchange.rights.has(right))) {
    const right = route.rights.map((each) => JSON.stringify(each)).join(" or ");
    return textResponse(403, `this user lacks the right ${right}`);
  }
  try {
    return await handler(exchange);
  } catch (error) {
    return errorResponse(error);
  }
}

function allowedMethods(route: Route): string {
  return [...Object.keys(route.methods), "OPTIONS"].join(",");
}

/** The status that each kind of error has on the wire. */
export function errorResponse(error: unknown): Response {
  if (error instanceof HttpError)
    return textResponse(error.status, errorText(error), error.headers);
  if (error instanceof InvalidSnapshotName) return textResponse(400, errorText(error));
  if (error instanceof SnapshotNotFound || error instanceof SnapshotInvalid)
    return textResponse(404, errorText(error));
  if (error instanceof SnapshotInUse) return textResponse(409, errorText(error));
  if (error instanceof CreationStopped)
    return textResponse(503, errorText(error), { Connection: "close" });
  if (error instanceof QueueFull)
    return textResponse(503, errorText(error), { "Retry-After": "60" });
  return textResponse(500, errorText(error));
}
