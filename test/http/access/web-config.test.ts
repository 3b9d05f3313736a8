import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readWebConfig, type WebConfig } from "../../../src/http/access/web-config.ts";
import { ConfigFiles } from "../../../src/lib/config/config-files.ts";
import { Failure } from "../../../src/lib/errors.ts";
import { selfSigned, signedBy } from "../../support/certificates.ts";
import { tempDir } from "../../support/temp.ts";
import { needs } from "../../support/tools.ts";

const HASH = `$2y$10$${".".repeat(53)}`;

const skip = !needs("openssl");
const dir = tempDir();
const server = skip ? undefined : selfSigned("server", dir);
if (server !== undefined) {
  selfSigned("other", dir);
  signedBy(server, "signed", dir);
}

function read(text: string): Promise<WebConfig> {
  const file = join(dir, "web.yml");
  writeFileSync(file, text);
  return readWebConfig(file, new ConfigFiles());
}

const TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

describe("without TLS", () => {
  test("an empty file asks for nothing", async () => {
    const nothing = { tls: undefined, users: undefined, headers: new Map() };
    expect(await read("")).toEqual(nothing);
    expect(await read("basic_auth_users:\ntls_server_config: {}\n")).toEqual(nothing);
    expect(await read("http_server_config: {http2: true}")).toEqual(nothing);
    expect(await read("# nothing\n---\nrate_limit:\n")).toEqual(nothing);
  });

  test("the names of users are read as they stand, in any form of the file", async () => {
    const names = async (text: string) => [...((await read(text)).users?.keys() ?? [])];
    expect(await names(`basic_auth_users: {123: ${HASH}, yes: ${HASH}}`)).toEqual(["123", "yes"]);
    expect(await names(`basic_auth_users:\n  jürgen: ${HASH}\n`)).toEqual(["jürgen"]);
    expect(await names(`basic_auth_users:\r\n  a: ${HASH}\r\n`)).toEqual(["a"]);
    expect(await names(`\uFEFFbasic_auth_users:\n  'a b': ${HASH}\n`)).toEqual(["a b"]);
    expect(await names(`basic_auth_users:\n  a: &h ${HASH}\n  b: *h\n`)).toEqual(["a", "b"]);
    expect(await names(`basic_auth_users:\n  "007": ${HASH}\n`)).toEqual(["007"]);
  });

  test("users and headers are read", async () => {
    const { users, headers } = await read(
      `basic_auth_users:\n  alice: ${HASH}\n  "123": ${HASH}\nhttp_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=3\n`,
    );
    expect([...(users ?? [])]).toEqual([
      ["123", HASH],
      ["alice", HASH],
    ]);
    expect(Object.fromEntries(headers)).toEqual({
      "X-Frame-Options": "deny",
      "Strict-Transport-Security": "max-age=3",
    });
  });

  const refused: [string, string][] = [
    ["nonsense", "it is not a mapping"],
    ["a: [", "YAML Parse error"],
    ["a: 1\n---\nb: 2", "it is not a mapping"],
    ["basic_auth_user: {}", "basic_auth_user is not a known key"],
    ["__proto__: {a: 1}", "__proto__ is not a known key"],
    ["rate_limit: {interval: 1s}", "rate_limit can't be honoured"],
    ["basic_auth_users: [alice]", "basic_auth_users is not a mapping"],
    ["basic_auth_users: {alice: 5}", "basic_auth_users.alice is not text"],
    ["basic_auth_users: {alice: secret}", "basic_auth_users.alice is not a bcrypt hash"],
    [`basic_auth_users: {alice: ${HASH.replace("2y", "2x")}}`, "is not a bcrypt hash"],
    ["basic_auth_users: {alice: $argon2id$v=19$m=1$a$b}", "is not a bcrypt hash"],
    [`basic_auth_users: {alice: ${HASH.replace("$10$", "$15$")}}`, "cost 15, which can't be"],
    [`basic_auth_users: {"a:b": ${HASH}}`, "is no user name"],
    [`basic_auth_users: {"": ${HASH}}`, "is no user name"],
    ['basic_auth_users: {alice: ""}', "basic_auth_users.alice is not a bcrypt hash"],
    ["basic_auth_users:\n  alice:\n", "basic_auth_users.alice is not a bcrypt hash"],
    [`basic_auth_users:\n  007: ${HASH}\n`, "line 2: a key is not read as it stands there"],
    [`basic_auth_users: {a: ${HASH}, a: ${HASH}}`, "a is repeated"],
    [`basic_auth_users:\n\ta: ${HASH}\n`, "YAML Parse error"],
    [`basic_auth_users:\n  a: ${HASH}\n  b: ${HASH}\n  a: ${HASH}\n`, "a is repeated: lines 2, 4"],
    ["http_server_config: {http2: maybe}", "http_server_config.http2 is neither true nor false"],
    ["http_server_config: {http3: true}", "http_server_config.http3 is not a known key"],
    ["http_server_config: {headers: {Server: x}}", "headers.Server is not a known key"],
    ["http_server_config: {headers: {X-Frame-Options: x}}", "is not one of deny, sameorigin"],
    ['http_server_config: {headers: {X-XSS-Protection: "a\\nb: c"}}', "more than printable ASCII"],
  ];
  test.each(refused)("%j is refused", async (text, message) => {
    const error = await read(text).then(undefined, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(Failure);
    expect(String(error)).toContain(message);
    expect(String(error)).toContain(join(dir, "web.yml"));
  });

  test("a message never holds a value, which may be a secret", async () => {
    for (const text of ["basic_auth_users: {a: hunter2}", "basic_auth_users: hunter2"]) {
      const error = await read(text).then(undefined, (reason: unknown) => reason);
      expect(String(error)).not.toContain("hunter2");
    }
  });
});

describe.skipIf(skip)("tls_server_config", () => {
  test("takes files beside it, and text in their place", async () => {
    const { tls } = await read(TLS);
    expect(tls?.cert).toBe(readFileSync(join(dir, "server.crt"), "utf8"));
    expect([tls?.minVersion, tls?.maxVersion, tls?.requestCert]).toEqual([
      0x0303,
      0x0304,
      undefined,
    ]);
    const inline = (file: string) =>
      readFileSync(join(dir, file), "utf8").trimEnd().replace(/^/gm, "    ");
    const again = await read(
      `tls_server_config:\n  cert: |\n${inline("server.crt")}\n  key: |\n${inline("server.key")}\n  min_version: TLS13\n  prefer_server_cipher_suites: true\n`,
    );
    expect([again.tls?.cert, again.tls?.minVersion]).toEqual([tls?.cert ?? "", 0x0304]);
  });

  test("takes the two ways to ask for client certificates that Bun has", async () => {
    const verify = await read(
      `${TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.crt\n`,
    );
    expect([verify.tls?.requestCert, verify.tls?.rejectUnauthorized]).toEqual([true, true]);
    const request = await read(`${TLS}  client_auth_type: RequestClientCert\n`);
    expect([request.tls?.requestCert, request.tls?.rejectUnauthorized]).toEqual([true, false]);
  });

  test("asks for nothing with an empty key", async () => {
    const { tls } = await read(
      `${TLS}  cipher_suites: []\n  curve_preferences:\n  client_auth_type: ""\n  client_ca_file: ""\n`,
    );
    expect(tls?.requestCert).toBeUndefined();
  });

  const refused: [string, string][] = [
    ["tls_server_config: {min_version: TLS13}", "tls_server_config.cert_file is missing"],
    ["tls_server_config: {cert_file: server.crt}", "tls_server_config.key_file is missing"],
    ["tls_server_config: {key_file: server.key}", "tls_server_config.cert_file is missing"],
    [`${TLS}  cert: x\n`, "tls_server_config.cert_file and cert exclude each other"],
    [TLS.replace("server.crt", "none.crt"), "none.crt can't be read: it is not there"],
    [TLS.replace("server.key", "other.key"), "key_file is not the private key of the first certif"],
    [`${TLS}  client_auth_type: RequireClientCert\n`, "client_auth_type is not one of"],
    [
      `${TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: signed.crt\n`,
      "client_ca_file can't be honoured without the root: add the certificate of CN=server, which has signed CN=signed",
    ],
    [TLS.replace("server.key", "server.crt"), "key_file holds no private key"],
    [TLS.replace("server.crt", "server.key"), "cert_file holds no certificate"],
    [`${TLS}  client_auth_type: RequireAnyClientCert\n`, "RequireAnyClientCert can't be honoured"],
    [`${TLS}  client_auth_type: VerifyClientCertIfGiven\n`, "can't be honoured"],
    [`${TLS}  client_auth_type: Yes\n`, "client_auth_type is not one of"],
    [`${TLS}  client_auth_type: RequireAndVerifyClientCert\n`, "client_ca_file is missing"],
    [`${TLS}  client_ca_file: server.crt\n`, "client_ca_file needs client_auth_type"],
    [`${TLS}  client_allowed_sans: [a]\n`, "tls_server_config.client_allowed_sans can't be"],
    [`${TLS}  cipher_suites: [a]\n`, "tls_server_config.cipher_suites can't be honoured"],
    [`${TLS}  curve_preferences: [a]\n`, "tls_server_config.curve_preferences can't be"],
    [`${TLS}  min_version: TLS14\n`, "min_version is not one of TLS10, TLS11, TLS12, TLS13"],
    [`${TLS}  min_version: TLS13\n  max_version: TLS12\n`, "max_version is below min_version"],
    [`${TLS}  insecure: true\n`, "tls_server_config.insecure is not a known key"],
  ];
  test.each(refused)("%j is refused", async (text, message) => {
    expect(await read(text).then(undefined, String)).toContain(message);
  });
});

describe("whatever the file holds", () => {
  const PIECES = [
    ..."[]{}:,-|>&*!?%@`\"'#\\~<=\n\n\n\t\0é",
    ...[
      "  ",
      ": ",
      "- ",
      "\n  ",
      "\n    ",
      "---\n",
      "...\n",
      "<<: ",
      "*a",
      "&a ",
      "!!str ",
      "null",
    ],
    ...["tls_server_config", "cert", "key_file", "client_auth_type", "min_version", "TLS12"],
    ...["basic_auth_users", "http_server_config", "headers", "http2", "X-Frame-Options", "deny"],
    ...["__proto__", "constructor", "toString", "server.crt", HASH, "0x1f", "1e999", "\uFEFF"],
  ];

  test("it is read or refused with its name, within bounds", async () => {
    let seed = 20260101;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >>> 8) % below;
    };
    for (let run = 0; run < 3000; run++) {
      const length = random(40);
      const text = Array.from({ length }, () => PIECES[random(PIECES.length)]).join("");
      await readOrRefuse(text);
    }
  });

  test.each([
    ["deep lists", "[".repeat(500_000)],
    ["deep mappings", Array.from({ length: 1000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
    ["a long line of blanks", `a${" ".repeat(1_000_000)}b`],
    ["many keys", Array.from({ length: 50_000 }, (_, i) => `k${i}: v`).join("\n")],
    ["aliases of aliases", `a0: &a0 x\n${growth(30)}`],
    ["too much", "#".repeat(1024 * 1024 + 1)],
  ])("%s", async (_, text) => {
    await readOrRefuse(text);
  });

  /** Each line holds the one before twice. */
  function growth(lines: number): string {
    return Array.from({ length: lines }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join(
      "\n",
    );
  }

  async function readOrRefuse(text: string): Promise<void> {
    try {
      const { users, headers } = await read(text);
      for (const hash of users?.values() ?? []) expect(hash).toStartWith("$2");
      for (const name of headers.keys()) expect(name).toMatch(/^[A-Z]/);
    } catch (error) {
      expect(error).toBeInstanceOf(Failure);
    }
  }
});
