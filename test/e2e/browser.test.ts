import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { freePort } from "../../scripts/free-port.ts";
import { atEnd } from "../support/at-end.ts";
import { startBrowser } from "../support/browser.ts";
import { startNginx } from "../support/nginx.ts";
import { type RunningServer, startServer } from "../support/programs.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { tempDir } from "../support/temp.ts";
import { needs } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { NAME, snapshotDir, start } from "./support.ts";

// To this machine (127.0.0.1) a browser tells in Sec-Fetch-Site which site a request comes from. On
// plain http to another machine, which a name below .test is to it, it sends Origin alone.

const skip = !needs("chromium", "nginx", "prometheus");
const started = skip ? undefined : await startAll();

async function startAll() {
  const [browser, prometheus] = await Promise.all([startBrowser(), startPrometheus()]);
  const { url, snapshotDir } = prometheus;
  const server = await startServer(["--prometheus-endpoint", url, "--snapshot-dir", snapshotDir]);
  const location = (path: string, ...lines: string[]) =>
    `location ${path} { proxy_pass ${server.url}/; proxy_buffering off; ${lines.join(" ")} }`;
  const told = ["proxy_set_header X-Forwarded-Host $http_host;"];
  told.push("add_header Referrer-Policy no-referrer;");
  const locations = [
    location("/rewritten/"),
    location("/passed/", "proxy_set_header Host $http_host;"),
    location("/told/", ...told),
  ];
  const proxy = await startNginx(locations.join("\n"));
  return { browser, server, proxy, snapshotDir };
}

function parts(): Awaited<ReturnType<typeof startAll>> {
  if (started === undefined) throw new Error("nothing was started");
  return started;
}

/** The same address, by a name that isn't this machine's to a browser. */
function named(url: string, name = "prombackup.test"): string {
  return url.replace("127.0.0.1", name);
}

async function newPage(): Promise<Page> {
  const page = await parts().browser.newPage();
  atEnd(() => page.close());
  return page;
}

/** A server of one page. */
function servePage(page: string, headers: Record<string, string> = {}, port = 0) {
  const server = Bun.serve({
    port,
    hostname: "127.0.0.1",
    fetch: () => new Response(page, { headers: { "Content-Type": "text/html", ...headers } }),
  });
  atEnd(() => server.stop(true));
  return server;
}

describe.skipIf(skip)("the page takes, downloads and prunes", () => {
  const ways: [string, () => string][] = [
    ["on this machine", () => `${parts().server.url}/`],
    ["behind a proxy on this machine that rewrites Host", () => `${parts().proxy}/rewritten/`],
    ["by plain http, behind a proxy that passes Host on", () => `${named(parts().proxy)}/passed/`],
    [
      "by plain http, behind a proxy that tells Host and wants no referrers",
      () => `${named(parts().proxy)}/told/`,
    ],
  ];
  test.each(ways)("%s", async (_, address) => {
    const page = await newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    await page.goto(address());
    const colour = await page.evaluate('getComputedStyle(document.querySelector("h1")).color');
    expect([colour, complaints]).toEqual(["rgb(230, 82, 44)", []]);

    const downloading = page.waitForEvent("download");
    await page.getByRole("button", { name: "Take and download" }).click();
    const download = await downloading;
    const file = join(tempDir(), download.suggestedFilename());
    await download.saveAs(file);
    const [name = ""] = readdirSync(parts().snapshotDir);
    expect(file).toEndWith(`/${name}.tar`);
    const sha256 = new Bun.CryptoHasher("sha256").update(await Bun.file(file).bytes());
    const record = await (await fetch(`${parts().server.url}/api/downloads`)).text();
    expect(record).toContain(sha256.digest("hex"));

    await page.reload();
    expect(await page.getByRole("link", { name }).count()).toBe(1);
    await page.getByRole("textbox").fill("0s");
    await page.getByRole("button", { name: "Prune" }).click();
    await page.waitForURL(/\/api\/prune$/);
    expect(await page.textContent("pre")).toContain(`"removed": [\n    "${name}"\n  ]`);
    expect(readdirSync(parts().snapshotDir)).toEqual([]);
  });

  test("not by plain http behind a proxy that rewrites Host, and tells what to do", async () => {
    const page = await newPage();
    await page.goto(`${named(parts().proxy)}/rewritten/`);
    await page.getByRole("button", { name: "Prune" }).click();
    await page.waitForURL(/\/api\/prune$/);
    expect(await page.textContent("body")).toContain(
      "the proxy before it must pass on the browser's Host, or tell it in X-Forwarded-Host",
    );
  });
});

/** A page that has the browser do to a server all that it can; its title tells what it could read. */
function hostilePage(url: string): string {
  return `<!doctype html>
<iframe name="first"></iframe><iframe name="second"></iframe>
<iframe src="${url}/"></iframe>
<img src="${url}/api/download?name=${NAME}">
<form method="post" target="first" action="${url}/api/prune"></form>
<form method="post" target="second" action="${url}/api/snapshot" enctype="text/plain"></form>
<script>
  for (const form of document.forms) form.submit();
  const ask = (path, init) => fetch("${url}" + path, init).then((answer) => answer.text(), String);
  Promise.all([
    ask("/api/prune", { method: "POST", mode: "no-cors", credentials: "include" }),
    ask("/api/snapshot", { method: "POST" }),
    ask("/api/snapshots/${NAME}", { method: "DELETE" }),
    ask("/api/snapshots"),
    ask("/api/downloads", { mode: "no-cors" }),
  ]).then((texts) => { document.title = JSON.stringify(texts); });
</script>`;
}

async function readByPage(url: string): Promise<unknown> {
  const page = await newPage();
  await page.goto(url);
  await page.waitForFunction("document.title !== ''");
  return JSON.parse(await page.title());
}

/** What a server was asked for, by its log, and how it answered. */
function asked(server: RunningServer): string[] {
  const lines = server.log().matchAll(/method=(\S+) path="?([^\s"?]+)\S* status=(\d+)/g);
  return [...lines].map(([, method, path, status]) => `${method} ${path} ${status}`);
}

describe.skipIf(skip)("pages of other sites can neither do nor read anything", () => {
  const targets: [string, (url: string) => string, number][] = [
    ["on this machine", (url) => url, 403],
    // Pictures and frames are asked for as a link is; they are served, but shown to nobody.
    ["by plain http", (url) => named(url), 200],
  ];
  test.each(targets)("%s", async (_, address, embedded) => {
    const dir = snapshotDir();
    const server = await start(dir);
    const hostile = hostilePage(address(server.url));
    const { href } = servePage(hostile).url;
    // The Origin of such a page is null.
    const sandbox = { "Content-Security-Policy": "sandbox allow-scripts allow-forms" };
    const sandboxed = servePage(hostile, sandbox).url.href;
    const pages = [address(href), named(href, "foreign.test"), sandboxed];
    for (const texts of await Promise.all(pages.map(readByPage)))
      expect(texts).toEqual(Array(5).fill("TypeError: Failed to fetch"));
    const each = [
      ...["POST /api/prune 403", "POST /api/prune 403"],
      ...["POST /api/snapshot 403", "POST /api/snapshot 403"],
      // The question whether DELETE is allowed.
      `OPTIONS /api/snapshots/${NAME} 403`,
      "GET /api/snapshots 403",
      ...["/api/downloads", "/api/download", "/"].map((path) => `GET ${path} ${embedded}`),
    ];
    await until(() => asked(server).length >= each.length * pages.length);
    expect(asked(server).sort()).toEqual(pages.flatMap(() => each).sort());
    expect(readdirSync(dir)).toEqual([NAME]);
  });
});

describe.skipIf(skip)("a page whose name comes to stand for this server (DNS rebinding)", () => {
  const cases: [string, string[], number, string][] = [
    ["reads everything", [], 200, NAME],
    ["is stopped by --web.allowed-hosts", ["--web.allowed-hosts", "127.0.0.1"], 421, "not served"],
  ];
  test.each(cases)("%s", async (_, flags, status, text) => {
    const attacker = servePage("<title>patience</title>", {}, freePort());
    const page = await newPage();
    await page.goto(named(attacker.url.href, "rebound.test"));
    // To the browser, another server behind the same name and port is what another address would be.
    await attacker.stop(true);
    const listen = ["--listen-address", attacker.url.host];
    const server = await start(snapshotDir(), ...flags, ...listen);
    const headers = '{ "X-Forwarded-Host": "127.0.0.1" }';
    const answer = await page.evaluate(
      `fetch("/api/snapshots", { headers: ${headers} }).then(async (a) => [a.status, await a.text()])`,
    );
    expect(answer).toEqual([status, expect.stringContaining(text)]);
    expect((await page.goto(server.url))?.status()).toBe(200);
  });
});
