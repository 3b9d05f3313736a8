import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type RunningServer, run } from "../support/programs.ts";
import { until } from "../support/until.ts";
import { exchange, NAME, snapshotDir, start, untilLogged } from "./support.ts";

const US = "us.example:8080";
const DOWNLOAD = `/api/download?name=${NAME}`;

const dir = snapshotDir();
const server = await start(dir);
const ALLOWED = "Prom.Example, backup.example:8080,[0:0::1],bücher.example,10.0.0.5";
const choosy = await start(snapshotDir(), "--web.allowed-hosts", ALLOWED);

/** A request as its method and path, with what a browser or a proxy says of it. */
function ask(
  { url }: RunningServer,
  line: string,
  headers: Record<string, string>,
): Promise<Response> {
  const [method = "", path = ""] = line.split(" ");
  return fetch(`${url}${path}`, { method, redirect: "manual", headers: { Host: US, ...headers } });
}

describe("what a browser or a program sends for this server's own page, or for nobody's", () => {
  const prune = "POST /api/prune?keep_within=900000h";
  const served: [string, string, Record<string, string>][] = [
    ["a prune, by curl or a program", prune, {}],
    ["a prune, by Node's fetch", prune, { "Sec-Fetch-Mode": "cors" }],
    ["a prune, by the page", prune, { "Sec-Fetch-Site": "same-origin", Origin: `http://${US}` }],
    ["a prune, sent anew by hand", prune, { "Sec-Fetch-Site": "none" }],
    [
      "a prune, by the page behind a proxy with TLS that rewrites Host",
      prune,
      { "Sec-Fetch-Site": "same-origin", Origin: "https://public.example" },
    ],
    ["a prune, by the page on plain http", prune, { Origin: `http://${US}` }],
    [
      "a prune, by the page on the port that goes without saying",
      prune,
      { Host: "US.example:80", Origin: "http://us.example" },
    ],
    [
      "a prune, by the page with TLS on the port that goes without saying",
      prune,
      { Host: "us.example:443", Origin: "https://us.example" },
    ],
    [
      "a prune, by the page at an address",
      prune,
      { Host: "[0:0::1]:8080", Origin: "http://[::1]:8080" },
    ],
    [
      "a prune, by the page on plain http behind two proxies that tell the Host",
      prune,
      {
        Host: "127.0.0.1:8080",
        "X-Forwarded-Host": "public.example:81, inner.example",
        Origin: "http://public.example:81",
      },
    ],
    [
      "a link elsewhere to the page",
      "GET /",
      {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
      },
    ],
    [
      "a link elsewhere to a download",
      `GET ${DOWNLOAD}`,
      { "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" },
    ],
    [
      "the same, by a browser that doesn't tell what for",
      "GET /",
      { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" },
    ],
  ];
  test.each(served)("%s is served, and kept from other sites", async (_, line, headers) => {
    const response = await ask(server, line, headers);
    expect([response.status, (await response.bytes()).length > 0]).toEqual([200, true]);
    expect(response.headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(response.headers.get("Access-Control-Allow-Origin")).toBeNull();
  });
});

describe("what a page of another site has a browser send", () => {
  const navigated = { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" };
  const resource = { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors" };
  const changes: [string, string][] = [
    ["a prune", "POST /api/prune"],
    ["a snapshot", "POST /api/snapshot"],
    ["a removal", `DELETE /api/snapshots/${NAME}`],
  ];
  const origins: [string, Record<string, string>][] = [
    ["as its Sec-Fetch-Site says", { "Sec-Fetch-Site": "cross-site" }],
    ["on another port", { "Sec-Fetch-Site": "same-site", Origin: "http://us.example:9090" }],
    ["in a form", { ...navigated, "Sec-Fetch-Dest": "document", Origin: "http://evil.example" }],
    [
      "that a proxy gives our Host",
      { ...navigated, Origin: `http://${US}`, "X-Forwarded-Host": US },
    ],
    ["with two words for its site", { "Sec-Fetch-Site": "same-origin, none" }],
    ["without a word for its site", { "Sec-Fetch-Site": "" }],
    ["on plain http", { Origin: "http://evil.example" }],
    ["on plain http and another port", { Origin: "http://us.example:9090" }],
    ["with TLS, and this one without", { Host: "us.example:80", Origin: "https://us.example" }],
    ["on plain http in a sandbox", { Origin: "null" }],
    ["of no name", { Origin: "" }],
    ["of an extension", { Origin: "chrome-extension://us.example:8080" }],
    ["with our name in its own", { Origin: `http://${US}.evil.example` }],
    ["with our name as a user", { Origin: `http://${US}@evil.example` }],
    ["with our name as a path", { Origin: `http://evil.example/${US}` }],
    ["of two names", { Origin: `http://${US}, http://evil.example` }],
    [
      "behind a proxy that tells the Host",
      { Origin: "http://evil.example", "X-Forwarded-Host": "public.example" },
    ],
  ];
  const gets: [string, string, Record<string, string>][] = [
    ["a picture", `GET ${DOWNLOAD}`, { ...resource, "Sec-Fetch-Dest": "image" }],
    ["a frame", `GET ${DOWNLOAD}`, { ...navigated, "Sec-Fetch-Dest": "iframe" }],
    ["an object", `GET ${DOWNLOAD}`, { ...navigated, "Sec-Fetch-Dest": "object" }],
    ["a fetch on plain http", `GET ${DOWNLOAD}`, { Origin: "http://evil.example" }],
    ["a script", "GET /api/snapshots", { ...resource, "Sec-Fetch-Dest": "script" }],
    ["a frame of the page", "GET /", { ...navigated, "Sec-Fetch-Dest": "iframe" }],
    ["a look", "HEAD /-/healthy", resource],
    [
      "the question whether it may (CORS)",
      `OPTIONS /api/snapshots/${NAME}`,
      { Origin: "http://evil.example", "Access-Control-Request-Method": "DELETE" },
    ],
  ];
  const all = changes.flatMap(([what, line]) =>
    origins.map(([how, headers]): [string, string, Record<string, string>] => [
      `${what}, by a page ${how},`,
      line,
      headers,
    ]),
  );
  test.each([...all, ...gets])("%s is refused", async (_, line, headers) => {
    const response = await ask(server, line, headers);
    expect(response.status).toBe(403);
    if (!line.startsWith("HEAD")) {
      expect(await response.text()).toMatch(
        /^a page of another site .*, which is refused: do it on this server's own page.*\n$/,
      );
    }
    expect(response.headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
    expect(response.headers.get("Access-Control-Allow-Origin")).toBeNull();
    expect(readdirSync(dir)).toEqual([NAME]);
  });

  test("is counted, and logged with what it was", async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toContain(
      `prombackup_http_requests_total{route="/api/prune",code="403"} ${origins.length}\n`,
    );
    const lines = () => server.log().match(/^.* path=\/api\/prune status=403 .*$/gm) ?? [];
    await until(() => lines().length >= origins.length);
    const refused = lines();
    expect(refused).toHaveLength(origins.length);
    expect(refused[0]).toMatch(
      / level=WARN .* method=POST .* peer=127\.0\.0\.1 .* error="a page of another site had /,
    );
  });
});

describe("--web.allowed-hosts", () => {
  const hosts: [string, number][] = [
    ["prom.example", 200],
    ["PROM.example:9999", 200],
    ["backup.example:8080", 200],
    ["backup.example", 421],
    ["backup.example:8081", 421],
    ["[::1]:80", 200],
    ["[::2]", 421],
    ["xn--bcher-kva.example", 200],
    ["10.0.0.5:8080", 200],
    ["evil.example", 421],
    ["evil.example:8080", 421],
    ["prom.example.evil.example", 421],
    ["evil-prom.example", 421],
    ["prom.example@evil.example", 421],
    ["evil.example/prom.example", 421],
    ["prom.example:", 421],
    ["127.0.0.1", 421],
  ];
  test.each(hosts)("a request for %s is answered %d", async (host, status) => {
    for (const path of ["/api/snapshots", "/metrics", "/-/healthy"]) {
      const headers = { Host: host, "X-Forwarded-Host": "prom.example" };
      const response = await ask(choosy, `GET ${path}`, headers);
      expect([path, response.status]).toEqual([path, status]);
      const text = await response.text();
      if (status === 421)
        expect(text).toBe(
          `the Host ${JSON.stringify(host)} is not served here: --web.allowed-hosts doesn't name it; ask for one that it names, or add this one\n`,
        );
    }
  });

  const heads: [string, string, number][] = [
    ["without a Host, by HTTP/1.0,", "GET /-/healthy HTTP/1.0", 200],
    ["with an empty Host", "GET /-/healthy HTTP/1.1\r\nHost:", 421],
    ["with two Hosts", "GET /-/healthy HTTP/1.1\r\nHost: prom.example\r\nHost: evil.example", 421],
    [
      "with another Host in its target",
      "GET http://prom.example/ HTTP/1.1\r\nHost: evil.example",
      421,
    ],
  ];
  test.each(heads)("a request %s is answered with the status it has", async (_, head, status) => {
    const answer = await exchange(choosy.url, `${head}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  test("is told by the client, and by the log", async () => {
    const { status, stderr } = await run("prombackup", ["list", "--server", choosy.url]);
    expect([status, stderr]).toEqual([1, expect.stringContaining("--web.allowed-hosts")]);
    await untilLogged(choosy, "method=GET path=/api/snapshots status=421 peer=127.0.0.1 duration=");
  });

  test("can come from the environment", async () => {
    const args = ["--snapshot-dir", snapshotDir()];
    const env = { PROMBACKUP_SERVER_WEB_ALLOWED_HOSTS: "prom.example,*" };
    const { status, stderr } = await run("prombackup-server", args, { env });
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining(
        'PROMBACKUP_SERVER_WEB_ALLOWED_HOSTS: "*" is not host, host:port, [address]',
      ),
    ]);
  });

  test.each(["", "a,,b", "::1", "http://a", "a/b", "a:b", "[::x]", "a b", "256.1.1.1"])(
    "%p is refused at start",
    async (hosts) => {
      const args = ["--snapshot-dir", snapshotDir(), "--web.allowed-hosts", hosts];
      const { status, stderr } = await run("prombackup-server", args);
      expect([status, stderr]).toEqual([2, expect.stringContaining("--web.allowed-hosts")]);
    },
  );
});

describe("directories of hostile names", () => {
  const names = ["<img src=x onerror=alert(1)>", '"><script>', `${NAME}'><b>`, `${NAME}<b>`];
  test("don't get onto the page", async () => {
    const own = snapshotDir();
    for (const name of names) mkdirSync(join(own, name));
    const { url } = await start(own);
    const response = await fetch(url);
    expect(response.headers.get("Content-Security-Policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-\S{44}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    const page = await response.text();
    expect(page.match(/href="\.\/api\/download[^>]*>[^<]*</g)).toEqual([
      `href="./api/download?name=${NAME}">${NAME}<`,
    ]);
    expect(page).not.toMatch(/<(img|script|b)\b/);
  });

  test("are told as JSON alone, when prune removes them", async () => {
    const own = snapshotDir();
    mkdirSync(join(own, `${NAME}<b>`));
    const { url } = await start(own);
    const response = await fetch(`${url}/api/prune`, { method: "POST" });
    expect(response.headers.get("Content-Type")).toBe("application/json; charset=utf-8");
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(await response.json()).toEqual({ removed: [NAME, `${NAME}<b>`], kept: [] });
  });
});
