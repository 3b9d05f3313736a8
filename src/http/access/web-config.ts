import { besideFile, type ConfigFiles } from "../../lib/config/config-files.ts";
import type { Section } from "../../lib/config/section.ts";
import { readTls, type ServerTls } from "./tls.ts";

/** What the web configuration file asks for. */
export interface WebConfig {
  readonly tls: ServerTls | undefined;
  /** bcrypt hashes by user; undefined: everyone may come in. */
  readonly users: ReadonlyMap<string, string> | undefined;
  /** Headers of every answer. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Reads the file that Prometheus and its exporters take as --web.config.file
 * (github.com/prometheus/exporter-toolkit, docs/web-configuration.md).
 *
 * @throws Failure that names the key of what is malformed, unknown, or can't be honoured
 */
export async function readWebConfig(path: string, files: ConfigFiles): Promise<WebConfig> {
  const top = await files.yaml(path);
  const tls = top.section("tls_server_config");
  const http = top.section("http_server_config");
  const users = top.section("basic_auth_users");
  top.notHonoured({ rate_limit: "can't be honoured: remove it" });
  top.end();
  return {
    tls: tls && (await readTls(tls, (file) => files.text(besideFile(path, file)))),
    users: users && (await readUsers(users)),
    headers: http === undefined ? new Map() : readHttp(http),
  };
}

/** A check at cost 14 takes about a second; a higher cost would stop everybody's log-in. */
const MAX_COST = 14;

async function readUsers(section: Section): Promise<Map<string, string> | undefined> {
  const users = new Map<string, string>();
  for (const name of section.keys) {
    const hash = section.text(name) ?? "";
    const cost = Number(/^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)?.[1]);
    if (name === "" || /[\p{Cc}:]/u.test(name))
      throw section.refuse(JSON.stringify(name), "is no user name: it is empty, or holds a colon");
    if (Number.isNaN(cost) || cost < 4 || !(await canBeChecked(hash)))
      throw section.refuse(name, "is not a bcrypt hash: htpasswd -nBC 10 USER makes one");
    if (cost > MAX_COST)
      throw section.refuse(
        name,
        `has bcrypt cost ${cost}, which can't be honoured: at most ${MAX_COST}`,
      );
    users.set(name, hash);
  }
  return users.size === 0 ? undefined : users;
}

/** Not every text of the right form is a hash. The lowest cost makes trying cheap: a millisecond. */
function canBeChecked(hash: string): Promise<boolean> {
  return Bun.password.verify("a", hash.replace(/\$\d\d\$/, "$04$"), "bcrypt").then(
    () => true,
    () => false,
  );
}

/** The headers that the toolkit lets one set, with the values that it takes; none: any. */
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  "Content-Security-Policy": [],
  "Strict-Transport-Security": [],
  "X-Content-Type-Options": ["nosniff"],
  "X-Frame-Options": ["deny", "sameorigin"],
  "X-XSS-Protection": [],
};

function readHttp(section: Section): Map<string, string> {
  // The toolkit's default is true. HTTP/2 is only ever an offer: a client that isn't offered it speaks 1.1.
  section.boolean("http2");
  const headers = section.section("headers");
  section.end();
  const read = new Map<string, string>();
  for (const [name, words] of Object.entries(HEADERS)) {
    const value = headers?.text(name) ?? "";
    if (value === "") continue;
    if (words.length > 0 && !words.includes(value.toLowerCase()))
      throw section.refuse(`headers.${name}`, `is not one of ${words.join(", ")}`);
    if (!/^[\x20-\x7e]+$/.test(value))
      throw section.refuse(`headers.${name}`, "holds more than printable ASCII");
    read.set(name, value);
  }
  headers?.end();
  return read;
}
