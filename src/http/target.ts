/**
 * The path and query that a request asks for, on a host that means nothing. Without a Host header,
 * as in HTTP/1.0, or with a malformed one, Bun's `request.url` is no URL; and whom a client takes us
 * for makes no difference to the answer.
 */
export function requestTarget(request: Pick<Request, "url">): URL {
  const pathAndQuery = request.url.replace(/^https?:\/\/[^/?#]*/i, "");
  return new URL(`http://host.invalid/${pathAndQuery.replace(/^\//, "")}`);
}
