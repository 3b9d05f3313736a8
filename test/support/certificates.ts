import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./temp.ts";

/** A certificate and its private key: paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes a certificate that signs itself, for localhost and 127.0.0.1. Needs the tool `openssl`. */
export function selfSigned(name: string, directory = tempDir()): Certificate {
  const made = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const subject = ["-subj", `/CN=${name}`, "-addext", names];
  openssl("req", "-x509", ...KEY, "-days", "2", ...subject, "-keyout", made.key, "-out", made.cert);
  return made;
}

/** Of a certificate that another one signs. */
interface Signed {
  /** As openssl's -extfile has them, such as `basicConstraints=CA:TRUE`. */
  readonly extensions?: string;
  /** -1: it has expired. */
  readonly days?: number;
}

/** Makes a certificate that another one has signed. */
export function signedBy(
  authority: Certificate,
  name: string,
  directory = tempDir(),
  { extensions = "", days = 2 }: Signed = {},
): Certificate {
  const made = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  const request = join(directory, `${name}.csr`);
  openssl("req", ...KEY, "-subj", `/CN=${name}`, "-keyout", made.key, "-out", request);
  const { cert, key } = authority;
  const extensionsFile = join(directory, `${name}.ext`);
  writeFileSync(extensionsFile, `${extensions}\n`);
  const by = ["-CA", cert, "-CAkey", key, "-CAcreateserial", "-extfile", extensionsFile];
  openssl("x509", "-req", "-in", request, ...by, "-days", String(days), "-out", made.cert);
  return made;
}

/** The same certificate with that of its issuer behind it. */
export function withChain({ cert, key }: Certificate, issuer: Certificate): Certificate {
  const chain = cert.replace(/crt$/, "chain.crt");
  writeFileSync(chain, readFileSync(cert, "utf8") + readFileSync(issuer.cert, "utf8"));
  return { cert: chain, key };
}

export function openssl(...args: string[]): void {
  const { success, stderr } = Bun.spawnSync(["openssl", ...args], { stdout: "ignore" });
  if (!success) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}
