import { errorCode, errorText } from "./errors.ts";

/** Whether a request that failed can't have arrived anywhere. */
export function neverConnected(cause: unknown): boolean {
  return ["ECONNREFUSED", "ENOTFOUND"].includes(errorCode(cause) ?? "");
}

/**
 * How every request is sent. Redirects are never followed. Bun's fetch would give up after some
 * minutes, whatever its signal says, and a snapshot may take longer; on a kept connection it would
 * repeat a request whose connection breaks before the answer: a second snapshot. The proxy that
 * `http_proxy` and the like name is not for this machine's own addresses, as in Go.
 */
export function fetchOptions(url: URL): BunFetchRequestInit {
  // Bun's types don't know of it.
  const direct: object = isLoopback(url.hostname) ? { proxy: false } : {};
  return { redirect: "manual", keepalive: false, ...{ timeout: false }, ...direct };
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/i.test(hostname);
}

/**
 * Why a request got no answer. Bun's own words for it hold advice for programmers and a guess; the
 * code tells.
 */
export function noAnswerReason(cause: unknown): string {
  switch (errorCode(cause)) {
    case "ECONNREFUSED":
      return "nothing listens there";
    case "ECONNRESET":
      return "the connection was closed before there was an answer";
    case "ENOTFOUND":
      return "the host name can't be resolved";
    case "EPROTO":
      return "the TLS handshake failed: is it http:// there?";
    default:
      return errorText(cause).replace(/ For more information, pass .*$/, "");
  }
}
