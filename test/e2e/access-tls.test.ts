import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
    // More than lies in buffers on the way, to a pipe that nobody reads yet.
    const pipe = join(setup.dir, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    const curl = ["curl", "-ksS", "-o", pipe, "-w", "%{size_download}"];
    const download = output(...curl, `${url}/api/download?name=${NAME}`);
    await until(() => log().includes('path="/api/download?'));
    copyFileSync(second.cert, first.cert);
    await until(() => log().includes("key_file is not the private key"));
    expect(await shownSubject(url)).toBe("first");
    copyFileSync(second.key, first.key);
    // No connection is refused while it changes.
    await until(async () => (await shownSubject(url)) === "second");
    expect(log()).not.toContain('msg="download finished"');
    Bun.spawn(["cat", pipe], { stdout: "ignore" });
    expect(await download).toEqual({ status: 0, text: String(64 * 1024 * 1024 + 2048) });
    expect(await stop()).toBe(0);
  });

  test("no connection is refused over many new certificates", async () => {
    const pair = [selfSigned("first"), selfSigned("second")];
    const certificate = selfSigned("now");
    const setup = setUp(tlsFile(certificate));
    const { url, log } = await start(setup);
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
    for (let i = 0; i < 60; i++) {
      const { cert, key } = pair[i % 2] ?? certificate;
      replace(setup.web, tlsFile({ cert, key }));
      await until(() => log().split("read anew").length === i + 2);
      // Of two listeners on one port, each would get some of these.
      if (i % 20 === 0) for (let n = 0; n < 8; n++) expect(await shownSubject(url)).toBe("first");
    }
    going = false;
    await Promise.all(clients);
    // One that is in its handshake, or waits for a request, when the certificate changes is closed.
    seen.delete("ECONNRESET");
    expect([...seen.keys()]).toEqual(["200"]);
  });

  test("a client of an authority that doesn't count any more is out, by an old session too", async () => {
    const dir = tempDir();
    const [before, after] = [selfSigned("before", dir), selfSigned("after", dir)];
    const [old, young] = [signedBy(before, "old", dir), signedBy(after, "young", dir)];
    const server = selfSigned("server", dir);
    const mutual = (authority: Certificate) =>
      tlsFile(
        server,
        `  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ${authority.cert}\n`,
      );
    const setup = setUp(mutual(before));
    const { url, log } = await start(setup);
    const session = join(dir, "session");
    const answer = async (client: Certificate, ...args: string[]) => {
      const shown = ["-cert", client.cert, "-key", client.key, "-ign_eof", "-quiet", ...args];
      const child = Bun.spawn(
        ["timeout", "20", "openssl", "s_client", "-connect", new URL(url).host, ...shown],
        { stdin: new Blob(["GET /-/healthy HTTP/1.0\r\n\r\n"]), stdout: "pipe", stderr: "ignore" },
      );
      return /HTTP\/1.1 (\d+)/.exec(await child.stdout.text())?.[1];
    };
    expect(await answer(old, "-sess_out", session)).toBe("200");
    expect(await answer(old, "-sess_in", session)).toBe("200");
    expect(await answer(young)).toBeUndefined();
    replace(setup.web, mutual(after));
    await until(() => log().includes("read anew"));
    expect(await answer(old)).toBeUndefined();
    expect(await answer(old, "-sess_in", session)).toBeUndefined();
    expect(await answer(young)).toBe("200");
    // Nobody finds the server open because a file was just being written.
    replace(setup.web, tlsFile(server));
    await until(() => log().includes("asking for no client certificate takes a restart"));
    expect(await answer(young)).toBe("200");
    expect(await answer(old)).toBeUndefined();
  });

  test("what a slow client gets is what was sent", async () => {
    const certificate = selfSigned("server");
    const setup = setUp(tlsFile(certificate));
    writeFileSync(join(setup.snapshots, NAME, "data"), randomBytes(24 * 1024 * 1024));
    const { url } = await start(setup);
    const archive = join(setup.dir, "archive");
    const rate = ["--limit-rate", "12M", "--cacert", certificate.cert];
    const got = await output(
      ...["curl", "-sS", "-D", "-", ...rate, "-o", archive],
      `${url}/api/download?format=tzst&name=${NAME}`,
    );
    const id = /X-Prombackup-Download-Id: (\S+)/i.exec(got.text)?.[1];
    const told = await fetch(`${url}/api/download_status?id=${id}`, {
      tls: { rejectUnauthorized: false },
    });
    const sha256 = new Bun.CryptoHasher("sha256").update(await Bun.file(archive).bytes());
    expect(await told.json()).toMatchObject({ finished: { sha256_hex: sha256.digest("hex") } });
  });

  test("a download that the server cuts arrives cut", async () => {
    const certificate = selfSigned("server");
    const setup = setUp(tlsFile(certificate), 256 * 1024 * 1024);
    const { url, log, stop } = await start(setup, "--shutdown-grace", "0s");
    const curl = output(
      ...["curl", "-sS", "--cacert", certificate.cert, "--limit-rate", "8M", "-o", "/dev/null"],
      `${url}/api/download?name=${NAME}`,
    );
    await until(() => log().includes('path="/api/download?'));
    expect(await stop()).toBe(0);
    // 18: the body isn't whole; 56: the connection was reset.
    expect([18, 56]).toContain((await curl).status);
  });

  test("can't be turned off while the server runs", async () => {
    const setup = setUp(tlsFile(selfSigned("first")));
    const { url, log } = await start(setup);
    replace(setup.web, "");
    await until(() => log().includes("turning TLS on or off takes a restart"));
    expect(await shownSubject(url)).toBe("first");
  });
});
