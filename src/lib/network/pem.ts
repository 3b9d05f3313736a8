import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Section } from "../config/section.ts";
import { errorText } from "../errors.ts";

/** Reads a file that a configuration file names. */
export type ReadText = (path: string) => Promise<string>;

/** A certificate or a key, as text. */
export interface Pem {
  readonly text: string;
  /** The key of the configuration that it came from. */
  readonly named: string;
}

/** What stands under `cert` in the file itself, or in another that `cert_file` names. */
export async function readPem(
  section: Section,
  key: string,
  readText: ReadText,
): Promise<Pem | undefined> {
  const fileKey = `${key}_file`;
  section.exclusive(key, fileKey);
  const inline = section.text(key);
  const file = section.text(fileKey);
  if (inline) return { text: inline, named: key };
  return file ? { text: await readText(file), named: fileKey } : undefined;
}

const BEGIN = "-----BEGIN CERTIFICATE-----";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws Failure unless there are certificates, and all are whole and well-formed */
export function requireCertificates(pem: Pem, section: Section): X509Certificate[] {
  const found = pem.text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw section.refuse(pem.named, "holds no certificate in PEM");
  // A chain that is just being written begins whole.
  if (found.length < pem.text.split(BEGIN).length - 1)
    throw section.refuse(pem.named, "holds a certificate that isn't whole");
  try {
    return found.map((each) => new X509Certificate(each));
  } catch (cause) {
    throw section.refuse(pem.named, `holds a malformed certificate: ${errorText(cause)}`);
  }
}

/**
 * Bun trusts no certificate that another one has signed, unless it has that one as well. In Go the
 * intermediate of an authority is enough; here nobody would be let in, and nothing would tell why.
 *
 * @throws Failure unless all are certificates whose issuers are there too
 */
export function requireAuthorities(pem: Pem, section: Section): void {
  const certificates = requireCertificates(pem, section);
  const subjects = new Set(certificates.map(({ subject }) => subject));
  const lone = certificates.find(({ issuer }) => !subjects.has(issuer));
  if (lone === undefined) return;
  const [issuer, subject] = [lone.issuer, lone.subject].map((name) => name.replace(/\n/g, ", "));
  throw section.refuse(
    pem.named,
    `can't be honoured without the root: add the certificate of ${issuer}, which has signed ${subject}`,
  );
}

/** @throws Failure unless the key is that of the first certificate */
export function requirePair(cert: Pem, key: Pem, section: Section): void {
  const [first] = requireCertificates(cert, section);
  let fits: boolean;
  try {
    fits = first?.checkPrivateKey(createPrivateKey(key.text)) ?? false;
  } catch (cause) {
    throw section.refuse(
      key.named,
      `holds no private key without a password in PEM: ${errorText(cause)}`,
    );
  }
  if (!fits)
    throw section.refuse(
      key.named,
      `is not the private key of the first certificate in ${cert.named}`,
    );
}
