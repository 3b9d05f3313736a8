import type { Section } from "../../lib/config/section.ts";
import { type ReadText, readPem, requireCertificates, requirePair } from "../../lib/network/pem.ts";

/** How the listener speaks TLS, in the terms of Bun.serve. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** Protocol versions as they stand on the wire. */
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly ca?: string;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
}

const VERSIONS = { TLS10: 0x0301, TLS11: 0x0302, TLS12: 0x0303, TLS13: 0x0304 } as const;
const VERSION_NAMES = ["TLS10", "TLS11", "TLS12", "TLS13"] as const;

const CLIENT_AUTH_TYPES = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;

/** Bun gives the handler no word of the client's certificate, and no choice of these. */
const NOT_HONOURED = ["cipher_suites", "curve_preferences", "client_allowed_sans"];

/** Reads `tls_server_config`. */
export async function readTls(section: Section, readText: ReadText): Promise<ServerTls> {
  for (const key of NOT_HONOURED) {
    if (section.keys.includes(key)) throw section.refuse(key, "can't be honoured: remove it");
  }
  // Since Go 1.17 it changes nothing in Prometheus either.
  section.boolean("prefer_server_cipher_suites");
  const minimum = VERSIONS[section.word("min_version", VERSION_NAMES) ?? "TLS12"];
  const maximum = VERSIONS[section.word("max_version", VERSION_NAMES) ?? "TLS13"];
  if (maximum < minimum) throw section.refuse("max_version", "is below min_version");
  const cert = await readPem(section, "cert", readText);
  const key = await readPem(section, "key", readText);
  const clients = await clientCertificates(section, readText);
  section.end();
  if (cert === undefined) throw section.refuse("cert_file", "is missing");
  if (key === undefined) throw section.refuse("key_file", "is missing");
  requirePair(cert, key, section);
  return { cert: cert.text, key: key.text, minVersion: minimum, maxVersion: maximum, ...clients };
}

async function clientCertificates(
  section: Section,
  readText: ReadText,
): Promise<Pick<ServerTls, "ca" | "requestCert" | "rejectUnauthorized">> {
  const type = section.word("client_auth_type", CLIENT_AUTH_TYPES) ?? "NoClientCert";
  const ca = await readPem(section, "client_ca", readText);
  if (ca !== undefined) requireCertificates(ca, section);
  if (ca !== undefined && type === "NoClientCert")
    throw section.refuse(ca.named, "needs client_auth_type RequireAndVerifyClientCert");
  switch (type) {
    case "NoClientCert":
      return {};
    case "RequestClientCert":
      return { requestCert: true, rejectUnauthorized: false };
    case "RequireAndVerifyClientCert":
      if (ca === undefined)
        throw section.refuse("client_ca_file", "is missing: client_auth_type needs it");
      return { ca: ca.text, requestCert: true, rejectUnauthorized: true };
    default:
      throw section.refuse(
        "client_auth_type",
        `${type} can't be honoured: RequireAndVerifyClientCert and NoClientCert can`,
      );
  }
}
