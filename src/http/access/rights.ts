import { ROUTES } from "../../api/contract.ts";
import type { ConfigFiles } from "../../lib/config/config-files.ts";

const RIGHTS = ["read", "create", "prune"] as const;

/** `read` looks, `create` makes and fetches snapshots, `prune` removes them. */
export type Right = (typeof RIGHTS)[number];

/** A route of the app: its path, or its path and `/*`. */
export type RoutePath = (typeof ROUTES)[keyof typeof ROUTES] | typeof ONE_SNAPSHOT;

const ONE_SNAPSHOT = `${ROUTES.snapshots}/*` as const;

/** Any one of these is enough; none: everyone who is let in at all. */
const NEEDED: Readonly<Record<RoutePath, readonly Right[]>> = {
  [ROUTES.page]: ["read"],
  [ROUTES.metrics]: ["read"],
  [ROUTES.healthy]: [],
  [ROUTES.ready]: [],
  [ROUTES.createSnapshot]: ["create"],
  [ROUTES.download]: ["create"],
  // A client asks for it to prove what it has downloaded.
  [ROUTES.downloadStatus]: ["read", "create"],
  [ROUTES.downloads]: ["read"],
  [ROUTES.prune]: ["prune"],
  [ROUTES.snapshots]: ["read"],
  [ONE_SNAPSHOT]: ["prune"],
};

/** What a route asks of a user. */
export function neededRights(path: RoutePath): readonly Right[] {
  return NEEDED[path];
}

export const ALL_RIGHTS: ReadonlySet<Right> = new Set(RIGHTS);

/** Which rights each user has; one that isn't named has all. */
export type UserRights = ReadonlyMap<string, ReadonlySet<Right>>;

/**
 * Reads the access file: `users:`, and below it each user's list of rights.
 *
 * @throws Failure that names the key of what is malformed or unknown
 */
export async function readRights(path: string, files: ConfigFiles): Promise<UserRights> {
  const top = await files.yaml(path);
  const users = top.section("users");
  top.end();
  const read = new Map<string, ReadonlySet<Right>>();
  // A file that an editor has just emptied mustn't give everything to everyone.
  if (users === undefined) throw top.refuse("users", "is missing or empty");
  for (const name of users.keys) {
    const words = users.texts(name) ?? [];
    const rights = RIGHTS.filter((right) => words.includes(right));
    if (new Set(words).size !== rights.length)
      throw top.refuse(`users.${name}`, `holds something else than ${RIGHTS.join(", ")}`);
    read.set(name, new Set(rights));
  }
  return read;
}
