import type { Section } from "../../lib/config/section.ts";
import {
  type ReadText,
  readPem,
  requireAuthorities,
  requireCertificates,
  requirePair,
} from "../../lib/network/pem.ts";
import { readTlsVersions, type TlsVersions } from "../../lib/network/tls-versions.ts";

/** How the listener speaks TLS, in the terms of Bun.serve. */
export interface ServerTls extends TlsVersions {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
}

const CLIENT_AUTH_TYPES = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;

/** Bun gives the handler no word of the client's certificate, and no choice of these. */
const NOT_HONOURED = {
  cipher_suites: "can't be honoured: remove it",
  curve_preferences: "can't be honoured: remove it",
  client_allowed_sans: "can't be honoured: remove it",
};

/** Reads `tls_server_config`. */
export async function readTls(section: Section, readText: ReadText): Promise<ServerTls> {
  section.notHonoured(NOT_HONOURED);
  // Since Go 1.17 it changes nothing in Prometheus either.
  section.boolean("prefer_server_cipher_suites");
  const versions = readTlsVersions(section);
  const cert = await readPem(section, "cert", readText);
  const key = await readPem(section, "key", readText);
  const clients = await clientCertificates(section, readText);
  section.end();
  if (cert === undefined) throw section.refuse("cert_file", "is missing");
  if (key === undefined) throw section.refuse("key_file", "is missing");
  requirePair(cert, key, section);
  return { cert: cert.text, key: key.text, ...versions, ...clients };
}

async function clientCertificates(
  section: Section,
  readText: ReadText,
): Promise<Pick<ServerTls, "ca" | "requestCert" | "rejectUnauthorized">> {
  const type =
    (section.text("client_auth_type") && section.word("client_auth_type", CLIENT_AUTH_TYPES)) ||
    "NoClientCert";
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
      requireAuthorities(ca, section);
      return { ca: ca.text, requestCert: true, rejectUnauthorized: true };
    default:
      throw section.refuse(
        "client_auth_type",
        `${type} can't be honoured: RequireAndVerifyClientCert and NoClientCert can`,
      );
  }
}
