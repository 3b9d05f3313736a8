import { textResponse } from "../respond.ts";
import { parseHost } from "./hosts.ts";

/**
 * Refuses what a page of another site has a browser send: with the address and the password of whoever
 * looks at that page, it would take, fetch or remove snapshots. Another port is another site. A link
 * may be followed here, as a whole page. What no browser sends has neither header, and passes.
 */
export function crossSite({ method, headers }: Request): Response | undefined {
  const site = headers.get("Sec-Fetch-Site");
  if (site === null) return fromOtherOrigin(headers);
  // "none" is what a person typed or kept as a bookmark.
  if (site === "same-origin" || site === "none" || isLink(method, headers)) return undefined;
  return textResponse(
    403,
    `a page of another site had the browser send this (Sec-Fetch-Site: ${site}), which is refused: do it on this server's own page`,
  );
}

/** Frames and embedded objects are navigated too, but they are no documents. */
function isLink(method: string, headers: Headers): boolean {
  const destination = headers.get("Sec-Fetch-Dest") ?? "document";
  const navigates = headers.get("Sec-Fetch-Mode") === "navigate" && destination === "document";
  return method === "GET" && navigates;
}

/**
 * For old browsers, and for all of them on plain http to another machine: there they send no
 * Sec-Fetch-Site, and Origin with all but plain GETs. A proxy may have put a name of its own in place
 * of the Host that the browser sent; X-Forwarded-Host is the proxy's word, since no page of another
 * site can set it without leave (CORS), which is never given here.
 */
function fromOtherOrigin(headers: Headers): Response | undefined {
  const origin = headers.get("Origin");
  if (origin === null) return undefined;
  const names = [headers.get("Host") ?? "", headers.get("X-Forwarded-Host") ?? ""];
  const own = names.flatMap((name) => name.split(",")).map((name) => name.trim());
  if (own.some((host) => isOriginOf(origin, host))) return undefined;
  return textResponse(
    403,
    `a page of another site (Origin: ${origin}) had the browser send this to ${own[0]}, which is refused: do it on this server's own page; if it was, the proxy before it must pass on the browser's Host, or tell it in X-Forwarded-Host`,
  );
}

function isOriginOf(origin: string, own: string): boolean {
  const [, scheme, authority = ""] = /^(https?):\/\/(.+)$/.exec(origin) ?? [];
  const [theirs, ours] = [parseHost(authority), parseHost(own)];
  if (theirs === undefined || ours === undefined) return false;
  const usual = scheme === "https" ? 443 : 80;
  return theirs.name === ours.name && (theirs.port ?? usual) === (ours.port ?? usual);
}

/** Keeps an answer from pages of other sites, as an image, a script or whatever it isn't. */
export function withheld(response: Response): Response {
  response.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  response.headers.set("X-Content-Type-Options", "nosniff");
  return response;
}
