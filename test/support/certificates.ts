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

/** Makes a certificate that another one has signed. */
export function signedBy(authority: Certificate, name: string, directory = tempDir()): Certificate {
  const made = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  const request = join(directory, `${name}.csr`);
  openssl("req", ...KEY, "-subj", `/CN=${name}`, "-keyout", made.key, "-out", request);
  const { cert, key } = authority;
  const by = ["-CA", cert, "-CAkey", key, "-CAcreateserial"];
  openssl("x509", "-req", "-in", request, ...by, "-days", "2", "-out", made.cert);
  return made;
}

function openssl(...args: string[]): void {
  const { success, stderr } = Bun.spawnSync(["openssl", ...args], { stdout: "ignore" });
  if (!success) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}
