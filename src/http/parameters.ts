import { HttpError } from "./respond.ts";

/** Parameters of a request: from the query, and from an urlencoded form, which goes first. */
export async function requestParameters(request: Request, url: URL): Promise<URLSearchParams> {
  const all = new URLSearchParams(url.search);
  const type = request.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  // The server's bound on request bodies holds here.
  const body = await request.text();
  // Passed over, a form of another kind would count as one without parameters: a prune of everything.
  if (type !== "application/x-www-form-urlencoded" && body !== "")
    throw new HttpError(415, "send the form urlencoded (application/x-www-form-urlencoded)");
  const form = new URLSearchParams(body);
  for (const name of new Set(form.keys())) all.delete(name);
  for (const [name, value] of form) all.append(name, value);
  return all;
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
