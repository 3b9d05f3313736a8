import { describe, expect, test } from "bun:test";
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Certificate,
  openssl,
  selfSigned,
  signedBy,
  withChain,
} from "../support/certificates.ts";
import { run } from "../support/programs.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { output, setUp, start } from "./access-support.ts";

const skip = !needs("openssl", "curl");
const dir = tempDir();
const HEALTHY = { status: 0, text: "prombackup-server is healthy.\n" };

describe.skipIf(skip)("mutual TLS", () => {
  const CA = { extensions: "basicConstraints=critical,CA:TRUE" };
  const FOR_CLIENTS = { extensions: "extendedKeyUsage=clientAuth" };

  /** Clients by what is special about them. */
  function clients(root: Certificate): Record<string, Certificate | undefined> {
    const other = selfSigned("other", dir);
    const intermediate = signedBy(root, "intermediate", dir, CA);
    const leaf = signedBy(root, "leaf", dir, { extensions: "basicConstraints=CA:FALSE" });
    const below = signedBy(intermediate, "below", dir, FOR_CLIENTS);
    return {
      "of the authority": signedBy(root, "good", dir, FOR_CLIENTS),
      "of an intermediate that it sends too": withChain(below, intermediate),
      "of an intermediate that it doesn't send": below,
      "of one that is no authority": withChain(signedBy(leaf, "forged", dir), leaf),
      "of another authority": signedBy(other, "stranger", dir, FOR_CLIENTS),
      "that signs itself": other,
      "that has expired": signedBy(root, "expired", dir, { ...FOR_CLIENTS, days: -1 }),
      "that is for servers alone": signedBy(root, "server-only", dir, {
        extensions: "extendedKeyUsage=serverAuth",
      }),
      "that isn't there": undefined,
    };
  }

  test("lets in who has a valid certificate of the authority, by either version, and nobody else", async () => {
    const root = selfSigned("root", dir);
    const server = selfSigned("server", dir);
    const setup = setUp(
      `tls_server_config:\n  cert_file: ${server.cert}\n  key_file: ${server.key}\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ${root.cert}\n`,
    );
    const { url, log } = await start(setup);
    const letIn: string[] = [];
    for (const [what, client] of Object.entries(clients(root))) {
      const own = client ? ["--cert", client.cert, "--key", client.key] : [];
      for (const version of ["1.2", "1.3"]) {
        const versions = [`--tlsv${version}`, "--tls-max", version];
        const command = ["curl", "-sS", "--cacert", server.cert, ...versions, ...own];
        const got = await output(...command, `${url}/-/healthy?${what.replaceAll(" ", "-")}`);
        if (got.status === 0) letIn.push(`${what} by ${version}`);
        else expect(log()).not.toContain(what.replaceAll(" ", "-"));
      }
    }
    expect(letIn).toEqual([
      "of the authority by 1.2",
      "of the authority by 1.3",
      "of an intermediate that it sends too by 1.2",
      "of an intermediate that it sends too by 1.3",
    ]);
  });

  test("tells our own client that its certificate may not be taken", async () => {
    const [root, server, other] = ["root", "server", "other"].map((name) => selfSigned(name, dir));
    if (!root || !server || !other) throw new Error("no certificates");
    const setup = setUp(
      `tls_server_config:\n  cert_file: ${server.cert}\n  key_file: ${server.key}\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ${root.cert}\n`,
    );
    const { url } = await start(setup);
    const http = join(setup.dir, "http.yml");
    writeFileSync(
      http,
      `tls_config: {ca_file: ${server.cert}, cert_file: ${other.cert}, key_file: ${other.key}}`,
    );
    const { status, stderr } = await run("prombackup", [
      ...["list", "--server", url, "--http.config.file", http],
    ]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("as it is where a client certificate isn't taken"),
    ]);
  });
});

describe.skipIf(skip)("certificates and keys", () => {
  const path = (name: string) => join(dir, name);
  const write = (name: string, ...parts: string[]) => writeFileSync(path(name), parts.join(""));
  const read = (name: string) => readFileSync(path(name), "utf8");

  /** Starts a server with a certificate and a key, and asks it with curl; or tells why it didn't start. */
  async function served(cert: string, key: string, ca = cert): Promise<object | string> {
    const setup = setUp(
      `tls_server_config:\n  cert_file: ${path(cert)}\n  key_file: ${path(key)}\n`,
    );
    const started = await start(setup).then(undefined, String);
    if (typeof started === "string") return started;
    const got = await output("curl", "-sS", "--cacert", path(ca), `${started.url}/-/healthy`);
    await started.stop();
    return got;
  }

  function make(name: string, ...key: string[]): void {
    const names = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"];
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)];
    openssl("req", "-x509", "-nodes", "-days", "2", ...names, "-newkey", ...key, ...files);
  }

  test("of each kind serve curl, in each form of PEM", async () => {
    make("rsa", "rsa:2048");
    make("ed25519", "ed25519");
    make("p384", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1");
    openssl("rsa", "-in", path("rsa.key"), "-traditional", "-out", path("pkcs1.key"));
    openssl("ec", "-in", path("p384.key"), "-out", path("sec1.key"));
    openssl("ecparam", "-name", "secp384r1", "-out", path("parameters.key"));
    appendFileSync(path("parameters.key"), read("sec1.key"));
    for (const kind of ["crt", "key"]) {
      write(`crlf.${kind}`, read(`rsa.${kind}`).replaceAll("\n", "\r\n"));
      write(`bag.${kind}`, "\uFEFFBag Attributes\n    friendlyName: x\n", read(`rsa.${kind}`));
    }
    write("both.pem", read("rsa.key"), read("rsa.crt"));
    const forms: [string, string, string?][] = [
      ["rsa.crt", "rsa.key"],
      ["ed25519.crt", "ed25519.key"],
      ["p384.crt", "p384.key"],
      ["rsa.crt", "pkcs1.key"],
      ["p384.crt", "sec1.key"],
      ["p384.crt", "parameters.key"],
      ["crlf.crt", "crlf.key"],
      ["bag.crt", "bag.key", "rsa.crt"],
      ["both.pem", "both.pem", "rsa.crt"],
    ];
    for (const form of forms) expect([form, await served(...form)]).toEqual([form, HEALTHY]);
  });

  test("of a chain are all sent, the server's own first", async () => {
    const root = selfSigned("root", dir);
    const CA = { extensions: "basicConstraints=critical,CA:TRUE" };
    const intermediate = signedBy(root, "intermediate", dir, CA);
    const leaf = signedBy(intermediate, "leaf", dir, { extensions: "subjectAltName=IP:127.0.0.1" });
    withChain(leaf, intermediate);
    expect(await served("leaf.chain.crt", "leaf.key", "root.crt")).toEqual(HEALTHY);
    write("reversed.crt", read("intermediate.crt"), read("leaf.crt"));
    expect(await served("reversed.crt", "leaf.key")).toContain(
      "key_file is not the private key of the first certificate in cert_file",
    );
    write("cut.crt", read("leaf.crt"), read("intermediate.crt").slice(0, 200));
    expect(await served("cut.crt", "leaf.key")).toContain("holds a certificate that isn't whole");
  });

  test("that can't be used are refused at the start, and the reason is told", async () => {
    make("rsa", "rsa:2048");
    const locked = ["-passout", "pass:hunter2"];
    openssl("rsa", "-in", path("rsa.key"), "-aes128", ...locked, "-out", path("locked.key"));
    openssl("pkcs8", "-topk8", "-in", path("rsa.key"), ...locked, "-out", path("locked8.key"));
    openssl("x509", "-in", path("rsa.crt"), "-outform", "DER", "-out", path("der.crt"));
    write("empty.crt");
    write("bad.crt", read("rsa.crt").replace(/\nMII../, "\n####"));
    write("cut.key", read("rsa.key").slice(0, 600));
    copyFileSync(path("rsa.crt"), path("none.key"));
    const refused: [string, string, string][] = [
      ["rsa.crt", "locked.key", "key_file holds no private key without a password"],
      ["rsa.crt", "locked8.key", "key_file holds no private key without a password"],
      ["rsa.crt", "cut.key", "key_file holds no private key"],
      ["rsa.crt", "none.key", "key_file holds no private key"],
      ["der.crt", "rsa.key", "der.crt can't be read: it is not text in UTF-8"],
      ["empty.crt", "rsa.key", "cert_file holds no certificate in PEM"],
      ["bad.crt", "rsa.key", "cert_file holds a malformed certificate"],
    ];
    for (const [cert, key, message] of refused)
      expect([cert, key, await served(cert, key)]).toEqual([
        cert,
        key,
        expect.stringContaining(message),
      ]);
  });
});

test.skipIf(skip)("the versions of TLS are those that the file names", async () => {
  const { cert, key } = selfSigned("server");
  const spoken: [string, string[]][] = [
    ["", ["1.2", "1.3"]],
    ["  max_version: TLS12\n", ["1.2"]],
    ["  min_version: TLS10\n", ["1.0", "1.1", "1.2", "1.3"]],
  ];
  for (const [versions, expected] of spoken) {
    const setup = setUp(
      `tls_server_config:\n  cert_file: ${cert}\n  key_file: ${key}\n${versions}`,
    );
    const { url, stop } = await start(setup);
    const heard: string[] = [];
    for (const [flag, version] of Object.entries({
      1: "1.0",
      "1_1": "1.1",
      "1_2": "1.2",
      "1_3": "1.3",
    })) {
      const command = ["openssl", "s_client", "-connect", new URL(url).host, `-tls${flag}`];
      // The old versions take what openssl leaves out by default.
      const { text } = await output(...command, "-cipher", "ALL:@SECLEVEL=0");
      if (/^ *Protocol *: TLSv1|^New, TLSv1/m.test(text) && /subject=CN = server/.test(text))
        heard.push(version);
    }
    expect([versions, heard]).toEqual([versions, expected]);
    await stop();
  }
});
