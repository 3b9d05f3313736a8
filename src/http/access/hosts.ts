import { textResponse } from "../respond.ts";

/** Whom a browser or a program takes us for. */
export interface Host {
  /** As browsers write it: small letters, punycode, addresses in their shortest form. */
  readonly name: string;
  /** Undefined where it is left to the scheme. */
  readonly port: number | undefined;
}

/** Reads `host`, `host:port`, `[::1]` or `[::1]:port`; undefined if it is none of these. */
export function parseHost(text: string): Host | undefined {
  const [, host = "", port] =
    /^(\[[\da-f:.]+\]|[\p{L}\p{N}._-]+)(?::(\d{1,5}))?$/iu.exec(text) ?? [];
  if (!URL.canParse(`http://${host}`)) return undefined;
  const name = new URL(`http://${host}`).hostname;
  return { name, port: port === undefined ? undefined : Number(port) };
}

/** One of --web.allowed-hosts. */
export function allowedHost(text: string): Host {
  const host = parseHost(text.trim());
  if (host === undefined)
    throw new Error(`${JSON.stringify(text)} is not host, host:port, [address] or [address]:port`);
  return host;
}

/**
 * Refuses a request for a Host that isn't among the allowed ones, which stops DNS rebinding: a name of
 * the attacker's that suddenly stands for this server's address makes his page one of ours in all that
 * a browser tells but this. X-Forwarded-Host doesn't count: such a page can set it.
 *
 * @param allowed Undefined: all. One without a port allows every port.
 */
export function misdirected(
  { headers }: Request,
  allowed: readonly Host[] | undefined,
): Response | undefined {
  const asked = headers.get("Host");
  // Only HTTP/1.0 can do without, and no browser does.
  if (allowed === undefined || asked === null) return undefined;
  const host = parseHost(asked);
  const matches = ({ name, port }: Host) =>
    name === host?.name && (port === undefined || port === host.port);
  if (allowed.some(matches)) return undefined;
  return textResponse(
    421,
    `the Host ${JSON.stringify(asked)} is not served here: --web.allowed-hosts doesn't name it; ask for one that it names, or add this one`,
  );
}
