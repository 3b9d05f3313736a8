import { HttpError } from "./respond.ts";

/** Parameters of a request: those of an urlencoded form, and behind them those of the query. */
export async function requestParameters(request: Request, url: URL): Promise<URLSearchParams> {
  const type = request.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  // The server's bound on request bodies holds here.
  const body = await request.text();
  // Passed over, a form of another kind would count as one without parameters: a prune of everything.
  if (type !== "application/x-www-form-urlencoded" && body !== "")
    throw new HttpError(415, "send the form urlencoded (application/x-www-form-urlencoded)");
  return new URLSearchParams([...new URLSearchParams(body), ...url.searchParams]);
}

/** A parameter through its parser; absent and empty ones are undefined, malformed ones a 400. */
export function parsedParameter<T>(
  parameters: URLSearchParams,
  name: string,
  parse: (text: string) => T,
): T | undefined {
  const text = parameters.get(name);
  if (text === null || text === "") return undefined;
  try {
    return parse(text);
  } catch (cause) {
    throw new HttpError(400, `Parsing ${name}: ${cause instanceof Error ? cause.message : cause}`);
  }
}
