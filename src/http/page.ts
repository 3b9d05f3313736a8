import { ARCHIVE_FORMATS } from "../archive/format.ts";
import { listSnapshots, type SnapshotInfo } from "../snapshots/list.ts";
import type { State } from "../status/state.ts";

const STYLE = `
  body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { color: #e6522c; }
  table { border-collapse: collapse; }
  th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; }
`;

/** No script, no style but the page's own, no forms to elsewhere, and no frame around it. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${new Bun.CryptoHasher("sha256").update(STYLE).digest("base64")}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** `GET /`: the web page, to take, download and prune snapshots by hand. */
export async function handlePage(
  snapshotDir: string,
  state: State,
  version: string,
): Promise<Response> {
  const snapshots = await listSnapshots(snapshotDir);
  const rows = snapshots.map((info) => ({ ...info, confirmed: state.isConfirmed(info.name) }));
  return new Response(page(rows, version), {
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": POLICY,
    },
  });
}

interface Row extends SnapshotInfo {
  readonly confirmed: boolean;
}

function page(snapshots: readonly Row[], version: string): string {
  const formats = ARCHIVE_FORMATS.map((format) => `<option>${format}</option>`).join("");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="same-origin">
<title>prombackup</title>
<style>${STYLE}</style>
<h1>prombackup</h1>
<h2>Take a snapshot and download it</h2>
<form method="post" action="./api/snapshot">
  <label>Format <select name="download_format">${formats}</select></label>
  <label><input type="checkbox" name="skip_head" value="true"> without the head block</label>
  <button>Take and download</button>
</form>
<h2>Snapshots</h2>
${snapshotTable(snapshots)}
<h2>Prune</h2>
<form method="post" action="./api/prune">
  <label>Remove snapshots older than <input name="keep_within" value="1h" size="8" required></label>
  <button>Prune</button>
</form>
<p><a href="./metrics">Metrics</a> · ${escapeHtml(version)}</p>
</html>
`;
}

function snapshotTable(snapshots: readonly Row[]): string {
  if (snapshots.length === 0) return "<p>There are none.</p>";
  const rows = snapshots.map(
    ({ name, blocks, bytes, inUse, confirmed }) =>
      `<tr><td><a href="./api/download?name=${encodeURIComponent(name)}">${escapeHtml(name)}</a></td>` +
      `<td>${blocks}</td><td>${bytes}</td><td>${inUse ? "in use" : ""}</td>` +
      `<td>${confirmed ? "" : "unconfirmed: Prometheus never told this server that it is complete"}</td></tr>`,
  );
  return `<table><tr><th>Name<th>Blocks<th>Bytes<th><th></tr>${rows.join("\n")}</table>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
