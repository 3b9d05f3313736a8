import { errorCode, errorText } from "./errors.ts";

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
