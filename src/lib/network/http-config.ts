import { stat } from "node:fs/promises";
import { besideFile, ConfigFiles } from "../config/config-files.ts";
import type { Section } from "../config/section.ts";
import { type ReadText, readPem, requireCertificates, requirePair } from "./pem.ts";

/** What requests to a server need besides its URL. */
export interface HttpSettings {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls | undefined;
}

/** In the terms of Bun's fetch. */
interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
}

/**
 * A file in the form of promtool's --http.config.file (prometheus.io/docs/prometheus/latest/command-line/promtool):
 * how to get into a server. It is read anew for each request, so that a changed secret counts at once;
 * a pipe (`<(...)`) is read once.
 */
export class HttpConfig {
  private constructor(
    private readonly path: string,
    /** What a pipe held, which can be read only once. */
    private readonly fixed?: HttpSettings,
  ) {}

  /** @throws Failure that names the key of what is malformed, unknown, or can't be honoured */
  static async open(path: string): Promise<HttpConfig> {
    const config = new HttpConfig(path);
    const settings = await config.settings();
    const lasting = await stat(path).then((found) => found.isFile());
    return lasting ? config : new HttpConfig(path, settings);
  }

  /** @throws Failure, never with a secret in it */
  async settings(): Promise<HttpSettings> {
    if (this.fixed !== undefined) return this.fixed;
    const files = new ConfigFiles();
    const top = await files.yaml(this.path);
    const readText: ReadText = (path) => files.text(besideFile(this.path, path));
    top.exclusive("basic_auth", "authorization");
    const basic = top.section("basic_auth");
    const authorization = top.section("authorization");
    const tls = top.section("tls_config");
    const headers = top.section("http_headers");
    top.end();
    return {
      headers: {
        ...(headers && (await readHeaders(headers, readText))),
        ...(basic && (await readBasicAuth(basic, readText))),
        ...(authorization && (await readAuthorization(authorization, readText))),
      },
      tls: tls && (await readTls(tls, readText)),
    };
  }
}

async function readBasicAuth(
  section: Section,
  readText: ReadText,
): Promise<Record<string, string>> {
  const username = section.requiredText("username");
  const password = await secret(section, "password", readText);
  section.end();
  if (username.includes(":")) throw section.refuse("username", "holds a colon");
  return { Authorization: basicAuthorization(username, password ?? "") };
}

/** The header for user and password (RFC 7617). */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

async function readAuthorization(
  section: Section,
  readText: ReadText,
): Promise<Record<string, string>> {
  const type = section.text("type")?.trim() || "Bearer";
  const credentials = await secret(section, "credentials", readText);
  section.end();
  if (type.toLowerCase() === "basic") throw section.refuse("type", "is basic: use basic_auth");
  if (credentials === undefined) throw section.refuse("credentials", "is missing");
  return { Authorization: sendable(section, "credentials", `${type} ${credentials}`) };
}

/** What the connection needs for itself, or another key gives. */
const RESERVED =
  /^(?:authorization|host|connection|content-.*|transfer-encoding|upgrade|te|trailer|expect|proxy-.*)$/i;

async function readHeaders(section: Section, readText: ReadText): Promise<Record<string, string>> {
  const read: Record<string, string> = {};
  for (const name of section.keys) {
    const source = section.section(name);
    if (source === undefined) continue;
    if (RESERVED.test(name) || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      throw section.refuse(name, "can't be set as a header");
    const values = [...(source.texts("values") ?? []), ...(source.texts("secrets") ?? [])];
    for (const file of source.texts("files") ?? []) values.push((await readText(file)).trim());
    source.end();
    read[name] = sendable(section, name, values.join(", "));
  }
  return read;
}

async function readTls(section: Section, readText: ReadText): Promise<ClientTls> {
  const ca = await readPem(section, "ca", readText);
  const cert = await readPem(section, "cert", readText);
  const key = await readPem(section, "key", readText);
  const serverName = section.text("server_name");
  const insecure = section.boolean("insecure_skip_verify") ?? false;
  section.end();
  if (ca !== undefined) requireCertificates(ca, section);
  if (cert !== undefined && key === undefined) throw section.refuse("key_file", "is missing");
  if (key !== undefined && cert === undefined) throw section.refuse("cert_file", "is missing");
  if (cert !== undefined && key !== undefined) requirePair(cert, key, section);
  return {
    ...(ca && { ca: ca.text }),
    ...(cert && key && { cert: cert.text, key: key.text }),
    ...(serverName && { serverName }),
    ...(insecure && { rejectUnauthorized: false }),
  };
}

/** What stands under the key itself, or in a file, without the blanks and line ends around it. */
async function secret(
  section: Section,
  key: string,
  readText: ReadText,
): Promise<string | undefined> {
  section.exclusive(key, `${key}_file`);
  const file = section.text(`${key}_file`);
  const inline = section.text(key);
  return file ? (await readText(file)).trim() : inline;
}

function sendable(section: Section, key: string, value: string): string {
  if (!/^[\t\x20-\x7e]*$/.test(value))
    throw section.refuse(key, "holds what no header may: it must be one line of printable ASCII");
  return value;
}
