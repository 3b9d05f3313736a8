import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { serverCommand } from "../../src/commands/server.ts";
import { readRights } from "../../src/http/access/rights.ts";
import { basicCredentials } from "../../src/http/access/users.ts";
import { readWebConfig } from "../../src/http/access/web-config.ts";
import { flagValue } from "../../src/lib/command-line/flags.ts";
import { ConfigFiles } from "../../src/lib/config/config-files.ts";
import { Failure, UsageError } from "../../src/lib/errors.ts";
import { readChecksumFile } from "../../src/lib/files/sha256sum.ts";
import { HttpConfig } from "../../src/lib/network/http-config.ts";
import { tempDir } from "../support/temp.ts";
import { fuzz, seeds, text } from "./fuzz.ts";

const file = join(tempDir(), "file");

/** Runs a reader of files on bytes. */
function onFile<T>(read: (path: string) => Promise<T>): (input: Uint8Array) => Promise<T> {
  return (input) => {
    writeFileSync(file, input);
    return read(file);
  };
}

const isFailure = (error: unknown) => error instanceof Failure;

const YAML_WORDS = [
  ...[": ", "\n", "  ", "- ", "{", "}", "[", "]", '"', "'", "|\n", ">", "&a ", "*a", "!!binary "],
  ...[
    "~",
    "null",
    "true",
    "0755",
    "---\n",
    "...",
    "# ",
    "<<: ",
    "? ",
    "\t",
    "__proto__: ",
    "\ufeff",
  ],
];

fuzz({
  name: "web-config",
  seeds: seeds(
    "tls_server_config:\n  cert_file: a.pem\n  key_file: b.pem\n  min_version: TLS12\n",
    "basic_auth_users:\n  alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n",
    "http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n",
    "tls_server_config: {client_auth_type: RequireAndVerifyClientCert, client_ca: x}\n",
  ),
  words: [...YAML_WORDS, "cert: ", "client_ca_file: ", "TLS13", "$2y$", "headers: "],
  run: onFile((path) => readWebConfig(path, new ConfigFiles())),
  expected: isFailure,
});

fuzz({
  name: "access-file",
  seeds: seeds("users:\n  alice: [read, create]\n  bob:\n  - prune\n", "users: {a: [], b: [read]}"),
  words: [...YAML_WORDS, "users:", "read", "create", "prune"],
  run: onFile(async (path) => {
    const allowed = ["read", "create", "prune"];
    for (const rights of (await readRights(path, new ConfigFiles())).values()) {
      if ([...rights].some((right) => !allowed.includes(right))) throw new TypeError("a right");
    }
  }),
  expected: isFailure,
});

fuzz({
  name: "http-config",
  seeds: seeds(
    "basic_auth:\n  username: a\n  password: b\nhttp_headers:\n  X-A:\n    values: [b]\n",
    "authorization:\n  type: Bearer\n  credentials: c\ntls_config:\n  insecure_skip_verify: true\n",
    "tls_config: {ca: x, cert: y, key: z, server_name: n}\n",
  ),
  words: [...YAML_WORDS, "password_file: ", "/dev/null", "secrets: ", "files: ", "\r\n", "\u00e9"],
  run: onFile(async (path) => {
    const { headers } = await (await HttpConfig.open(path)).settings();
    // What it lets through, a request must be able to carry.
    new Headers(headers);
  }),
  expected: isFailure,
});

fuzz({
  name: "checksum-file",
  seeds: seeds(`${"0a".repeat(32)}  x.tar\n`, `\\${"ff".repeat(32)} *a\\nb\\\\c\n`),
  words: ["\n", "  ", "\\", "*", "\0"],
  run: onFile(readChecksumFile),
  expected: isFailure,
});

fuzz({
  name: "basic-auth",
  seeds: seeds(`Basic ${btoa("user:password")}`, `basic ${btoa("u:p:q")}`),
  words: ["=", ":", " ", "Basic ", "\u00ff"],
  run: (input) => {
    basicCredentials(text(input));
  },
  expected: () => false,
  cases: 5000,
});

const worker = new URL("file:///nowhere");
const { flags } = serverCommand({ compress: worker, check: worker });

fuzz({
  name: "flag-values",
  seeds: seeds(
    ...["true", "10m", "127.0.0.1:8080", ":1", "http://user:pw@h/", "1.5G", "16", "json", "a b"],
  ),
  words: ["-", "+", "1e9", "0x1", "99999999999999999999", "NaN", "Infinity", "@", "//", "\0"],
  run: (input) => {
    for (const [name, flag] of Object.entries(flags)) {
      try {
        const value = flagValue(name, flag, text(input), {});
        if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(name);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
    }
  },
  expected: () => false,
});
