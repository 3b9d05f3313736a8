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

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws Failure unless there are certificates, and all are well-formed */
export function requireCertificates(pem: Pem, section: Section): void {
  const found = pem.text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw section.refuse(pem.named, "holds no certificate in PEM");
  try {
    for (const each of found) new X509Certificate(each);
  } catch (cause) {
    throw section.refuse(pem.named, `holds a malformed certificate: ${errorText(cause)}`);
  }
}

/** @throws Failure unless the key is that of the first certificate */
export function requirePair(cert: Pem, key: Pem, section: Section): void {
  requireCertificates(cert, section);
  let fits: boolean;
  try {
    fits = new X509Certificate(cert.text).checkPrivateKey(createPrivateKey(key.text));
  } catch (cause) {
    throw section.refuse(
      key.named,
      `holds no private key without a password in PEM: ${errorText(cause)}`,
    );
  }
  if (!fits) throw section.refuse(key.named, "is not the private key of the certificate");
}
