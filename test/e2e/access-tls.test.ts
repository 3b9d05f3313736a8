import { describe, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { errorCode } from "../../src/lib/errors.ts";
import { type Certificate, selfSigned, signedBy } from "../support/certificates.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { NAME, output, replace, setUp, start } from "./access-support.ts";

const skip = !needs("openssl", "curl");

describe.skipIf(skip)("TLS", () => {
  function tlsFile(certificate: Certificate, more = ""): string {
    return `tls_server_config:\n  cert_file: ${certificate.cert}\n  key_file: ${certificate.key}\n${more}`;
  }

  /** The subject that openssl is shown in a handshake; undefined if there was none. */
  async function shownSubject(url: string, ...args: string[]): Promise<string | undefined> {
    const { text } = await output("openssl", "s_client", "-connect", new URL(url).host, ...args);
    return /subject=CN = (\S+)/.exec(text)?.[1];
  }

  test("serves curl and the client, shows its certificate to openssl, and keeps min_version", async () => {
    const certificate = selfSigned("first");
    const setup = setUp(tlsFile(certificate, "  min_version: TLS13\n"));
    const { url } = await start(setup);
    expect(url).toStartWith("https://");
    const fetched = await output("curl", "-sS", "--cacert", certificate.cert, `${url}/-/healthy`);
    expect(fetched).toEqual({ status: 0, text: "prombackup-server is healthy.\n" });
    expect(await shownSubject(url)).toBe("first");
    expect(await shownSubject(url, "-tls1_3")).toBe("first");
    expect(await shownSubject(url, "-tls1_2")).toBeUndefined();
    const plain = await output("curl", "-sS", url.replace("https", "http"));
    expect(plain.status).not.toBe(0);
  });

  test("with mutual TLS serves who has a certificate of that authority, and nobody else", async () => {
    const dir = tempDir();
    const authority = selfSigned("authority", dir);
    const client = signedBy(authority, "client", dir);
    const server = selfSigned("server", dir);
    const mutual = `  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ${authority.cert}\n`;
    const setup = setUp(tlsFile(server, mutual));
    const { url, log } = await start(setup, "--listen-address", "0.0.0.0:0");
    expect(log()).not.toContain("level=WARN");
    const at = `${url.replace("0.0.0.0", "127.0.0.1")}/-/healthy`;
    const curl = (...args: string[]) => output("curl", "-sS", "--cacert", server.cert, ...args, at);
    const own = await curl("--cert", client.cert, "--key", client.key);
    expect(own).toEqual({ status: 0, text: "prombackup-server is healthy.\n" });
    expect((await curl()).status).not.toBe(0);
    expect((await curl("--cert", server.cert, "--key", server.key)).status).not.toBe(0);
  });

  test("the next handshakes show a new certificate, and a running download goes on", async () => {
    const [first, second] = [selfSigned("first"), selfSigned("second")];
    const setup = setUp(tlsFile(first), 64 * 1024 * 1024);
    const { url, log, stop } = await start(setup);
    const target = `${url}/api/download?name=${NAME}`;
    const rate = ["--limit-rate", "16M"];
    const download = output(
      "curl",
      "-ksS",
      ...rate,
      "-o",
      "/dev/null",
      "-w",
      "%{size_download}",
      target,
    );
    await until(() => log().includes('path="/api/download?'));
    copyFileSync(second.cert, first.cert);
    await until(() => log().includes("key_file is not the private key"));
    expect(await shownSubject(url)).toBe("first");
    copyFileSync(second.key, first.key);
    // No connection is refused while it changes.
    await until(async () => (await shownSubject(url)) === "second");
    expect(log()).not.toContain('msg="download finished"');
    expect(await download).toEqual({ status: 0, text: String(64 * 1024 * 1024 + 2048) });
    expect(await stop()).toBe(0);
  }, 60_000);

  test("no connection is refused over many new certificates", async () => {
    const pair = [selfSigned("first"), selfSigned("second")];
    const certificate = selfSigned("now");
    const setup = setUp(tlsFile(certificate));
    const { url } = await start(setup);
    const seen = new Map<string, number>();
    let going = true;
    const clients = Array.from({ length: 4 }, async () => {
      while (going) {
        const options = { keepalive: false, tls: { rejectUnauthorized: false } };
        const result = await fetch(`${url}/-/healthy`, options).then(
          (response) => String(response.status),
          (error: unknown) => errorCode(error) ?? String(error),
        );
        seen.set(result, (seen.get(result) ?? 0) + 1);
      }
    });
    for (let i = 0; i < 6; i++) {
      const { cert, key } = pair[i % 2] ?? certificate;
      replace(setup.web, tlsFile({ cert, key }));
      await until(async () => (await shownSubject(url)) === (i % 2 === 0 ? "first" : "second"));
    }
    going = false;
    await Promise.all(clients);
    // One that is open and waits for a request when the certificate changes is closed.
    seen.delete("ECONNRESET");
    expect([...seen.keys()]).toEqual(["200"]);
  }, 60_000);

  test("can't be turned off while the server runs", async () => {
    const setup = setUp(tlsFile(selfSigned("first")));
    const { url, log } = await start(setup);
    replace(setup.web, "");
    await until(() => log().includes("turning TLS on or off takes a restart"));
    expect(await shownSubject(url)).toBe("first");
  });
});
