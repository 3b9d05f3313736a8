import { errorCode, errorText } from "../errors.ts";
import { basicAuthorization, type HttpConfig } from "./http-config.ts";
import { isLoopback } from "./loopback.ts";

/** Whether a request that failed can't have arrived anywhere. */
export function neverConnected(cause: unknown): boolean {
  return ["ECONNREFUSED", "ENOTFOUND"].includes(errorCode(cause) ?? "");
}

/**
 * Sends a request, with what the configuration wants. User and password in the URL become a header,
 * unless the configuration has one, and appear in nothing that the answer or an error tells.
 *
 * @throws Failure of the configuration; else what fetch throws
 */
export async function sendRequest(
  target: URL,
  init: Pick<RequestInit, "method" | "signal">,
  config: HttpConfig | undefined,
): Promise<Response> {
  const settings = await config?.settings();
  const url = new URL(target);
  url.username = "";
  url.password = "";
  const { username, password } = target;
  const fromUrl =
    username === "" && password === ""
      ? {}
      : { Authorization: basicAuthorization(decoded(username), decoded(password)) };
  return fetch(url, {
    ...fetchOptions(url),
    ...init,
    headers: { ...fromUrl, ...settings?.headers },
    // Said in any case: NODE_TLS_REJECT_UNAUTHORIZED in the environment mustn't turn it off.
    tls: settings?.tls ?? { rejectUnauthorized: true },
  });
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // A percent sign that stands for itself.
  }
}

/**
 * How every request is sent. Redirects are never followed. Bun's fetch would give up after some
 * minutes, whatever its signal says, and a snapshot may take longer; on a kept connection it would
 * repeat a request whose connection breaks before the answer: a second snapshot. The proxy that
 * `http_proxy` and the like name is not for this machine's own addresses, as in Go.
 */
function fetchOptions(url: URL): BunFetchRequestInit {
  // Bun's types don't know of it.
  const direct: object = isThisMachine(url.hostname) ? { proxy: false } : {};
  return { redirect: "manual", keepalive: false, ...{ timeout: false }, ...direct };
}

function isThisMachine(hostname: string): boolean {
  return /^(?:.*\.)?localhost$/i.test(hostname) || isLoopback(hostname.replace(/^\[|\]$/g, ""));
}

/**
 * Why a request got no answer. Bun's own words for it hold advice for programmers and a guess; the
 * code tells.
 */
export function noAnswerReason(cause: unknown, url: URL): string {
  const { protocol } = url;
  const proxy = proxyVariable(url);
  switch (errorCode(cause)) {
    case "ECONNREFUSED":
      return `nothing listens there${proxy ? `, or at the proxy that ${proxy} names` : ""}`;
    case "ECONNRESET":
      // With TLS, a server takes a certificate first, and closes the connection if it isn't one of its own.
      return protocol === "https:"
        ? "the connection was closed before there was an answer, as it is where a client certificate isn't taken"
        : "the connection was closed before there was an answer";
    case "ENOTFOUND":
      return `the host name${proxy ? `, or that of the proxy in ${proxy},` : ""} can't be resolved`;
    case "EPROTO":
      return "the TLS handshake failed: is it http:// there, or is a client certificate wanted?";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "its certificate is for another name: tls_config.server_name of the HTTP configuration file can tell which";
    case "CERT_HAS_EXPIRED":
      return "its certificate has expired";
    case "CERT_NOT_YET_VALID":
      return "its certificate isn't valid yet: is this machine's clock right?";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return "its certificate is of no known authority: tls_config.ca_file of the HTTP configuration file can name it";
    default:
      return withoutAdvice(cause);
  }
}

/** The variable whose proxy is asked; NO_PROXY may be against it, as fetch alone knows. */
function proxyVariable({ protocol, hostname }: URL): string | undefined {
  if (isThisMachine(hostname)) return undefined;
  const name = protocol === "https:" ? "https_proxy" : "http_proxy";
  return [name, name.toUpperCase()].find((variable) => process.env[variable]);
}

/** Why an answer that had begun broke off. */
export function brokenOffReason(cause: unknown): string {
  return errorCode(cause) === "ECONNRESET" ? "the connection was closed" : withoutAdvice(cause);
}

function withoutAdvice(cause: unknown): string {
  return errorText(cause).replace(/ For more information, pass .*$/, "");
}
