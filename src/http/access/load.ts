import { ConfigFiles } from "../../lib/config/config-files.ts";
import { errorText, Failure } from "../../lib/errors.ts";
import { readRights, type UserRights } from "./rights.ts";
import { readWebConfig, type WebConfig } from "./web-config.ts";

/** The files that say who may come in and do what. */
export interface AccessPaths {
  readonly webConfig: string | undefined;
  readonly rights: string | undefined;
}

export interface AccessConfig extends WebConfig {
  readonly rights: UserRights;
}

/** What the files said when they were read, or what is wrong with them. */
export interface Loaded {
  readonly result: AccessConfig | Failure;
  /** Users of the access file whom nobody knows. */
  readonly strangers: readonly string[];
  readonly files: ConfigFiles;
}

/** Reads all of the files. @param earlier How they were read before. */
export async function loadAccess(paths: AccessPaths, earlier?: ConfigFiles): Promise<Loaded> {
  const files = new ConfigFiles(earlier);
  try {
    const web = await readWeb(paths, files);
    const rights: UserRights =
      paths.rights === undefined ? new Map() : await readRights(paths.rights, files);
    const strangers = [...rights.keys()].filter((name) => !web.users?.has(name));
    return { result: { ...web, rights }, strangers, files };
  } catch (error) {
    const result = error instanceof Failure ? error : new Failure(errorText(error));
    return { result, strangers: [], files };
  }
}

async function readWeb(paths: AccessPaths, files: ConfigFiles): Promise<WebConfig> {
  const web: WebConfig =
    paths.webConfig === undefined
      ? { tls: undefined, users: undefined, headers: new Map() }
      : await readWebConfig(paths.webConfig, files);
  if (paths.rights !== undefined && web.users === undefined) {
    throw new Failure(
      `${paths.rights} gives rights to users, but there are none: name them under basic_auth_users in the file of --web.config.file`,
    );
  }
  return web;
}
