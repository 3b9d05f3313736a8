import { besideFile, ConfigFiles } from "../config/config-files.ts";
import type { Section } from "../config/section.ts";
import { type ReadText, readPem, requireAuthorities, requirePair } from "./pem.ts";
import { readTlsVersions, type TlsVersions } from "./tls-versions.ts";

/** What requests to a server need besides its URL. */
export interface HttpSettings {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls | undefined;
}

/** In the terms of Bun's fetch. */
interface ClientTls extends TlsVersions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly rejectUnauthorized: boolean;
}

/**
 * A file in the form of promtool's --http.config.file (prometheus.io/docs/prometheus/latest/command-line/promtool):
 * how to get into a server. It is read anew for each request, so that a changed secret counts at once;
 * a pipe (`<(...)`) is read once.
 */
export class HttpConfig {
  private constructor(
    /** As it was given. */
    readonly path: string,
    private readonly files: ConfigFiles,
  ) {}

  /** @throws Failure that names the key of what is malformed, unknown, or can't be honoured */
  static async open(path: string): Promise<HttpConfig> {
    const files = new ConfigFiles();
    await readSettings(path, files);
    return new HttpConfig(path, files);
  }

  /** @throws Failure, never with a secret in it */
  settings(): Promise<HttpSettings> {
    return readSettings(this.path, new ConfigFiles(this.files));
  }
}

const PROXIES = "can't be honoured: http_proxy, https_proxy and NO_PROXY in the environment are";
const NOT_HONOURED = {
  oauth2: "can't be honoured: use basic_auth or authorization",
  bearer_token: "is authorization.credentials by its old name: use that",
  bearer_token_file: "is authorization.credentials_file by its old name: use that",
  proxy_url: PROXIES,
  no_proxy: PROXIES,
  proxy_from_environment: PROXIES,
  proxy_connect_header: PROXIES,
};

async function readSettings(path: string, files: ConfigFiles): Promise<HttpSettings> {
  const top = await files.yaml(path);
  const readText: ReadText = (file) => files.text(besideFile(path, file));
  top.notHonoured(NOT_HONOURED);
  top.exclusive("basic_auth", "authorization");
  const basic = top.section("basic_auth");
  const authorization = top.section("authorization");
  const tls = top.section("tls_config");
  const headers = top.section("http_headers");
  // An offer, which is never made.
  top.boolean("enable_http2");
  if (top.boolean("follow_redirects"))
    throw top.refuse("follow_redirects", "can't be honoured: redirects are never followed");
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

async function readBasicAuth(
  section: Section,
  readText: ReadText,
): Promise<Record<string, string>> {
  const username = await secret(section, "username", readText);
  const password = await secret(section, "password", readText);
  section.end();
  if (!username) throw section.refuse("username", "is missing or empty");
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
  if (!credentials) throw section.refuse("credentials", "is missing or empty");
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
  const versions = readTlsVersions(section);
  section.end();
  if (ca !== undefined) requireAuthorities(ca, section);
  if (cert !== undefined && key === undefined) throw section.refuse("key_file", "is missing");
  if (key !== undefined && cert === undefined) throw section.refuse("cert_file", "is missing");
  if (cert !== undefined && key !== undefined) requirePair(cert, key, section);
  return {
    ...versions,
    ...(ca && { ca: ca.text }),
    ...(cert && key && { cert: cert.text, key: key.text }),
    ...(serverName && { serverName }),
    rejectUnauthorized: !insecure,
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
