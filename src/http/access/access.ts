import { isDeepStrictEqual } from "node:util";
import { errorText, Failure } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { textResponse } from "../respond.ts";
import { type AccessConfig, type AccessPaths, type Loaded, loadAccess } from "./load.ts";
import { ALL_RIGHTS, type Right } from "./rights.ts";
import type { ServerTls } from "./tls.ts";
import { basicCredentials, TooManyChecks, Users } from "./users.ts";

/** Who has been let in may do so much. */
export type Admission =
  | { readonly rights: ReadonlySet<Right>; readonly user: string | undefined }
  | { readonly refusal: Response };

/**
 * Who may come in and do what, by the files, as they are now: they are looked at before each request,
 * and read again when one has changed. A state that can't be read changes nothing and is logged once.
 */
export class Access {
  #config: AccessConfig;
  #users: Users | undefined;
  #loaded: Loaded;
  #complaint: string | undefined;
  #refreshing: Promise<void> | undefined;
  #onTls: (tls: ServerTls) => void = () => {};

  private constructor(
    private readonly paths: AccessPaths,
    private readonly log: Log,
    loaded: Loaded,
  ) {
    if (loaded.result instanceof Failure) throw loaded.result;
    this.#loaded = loaded;
    this.#config = loaded.result;
    this.#setUsers(loaded.result);
    this.#warnOfStrangers(loaded.strangers);
  }

  /** @throws Failure that tells what is wrong with the files */
  static async open(paths: AccessPaths, log: Log): Promise<Access> {
    return new Access(paths, log, await loadAccess(paths));
  }

  get tls(): ServerTls | undefined {
    return this.#config.tls;
  }

  /** Whether everyone who reaches the server is let in. */
  get open(): boolean {
    return this.#users === undefined && this.#config.tls?.rejectUnauthorized !== true;
  }

  /** Has a listener told of a new certificate. What it throws keeps the old state as a whole. */
  onTls(change: (tls: ServerTls) => void): void {
    this.#onTls = change;
  }

  /**
   * Takes in what has changed in the files up to now. Never throws.
   *
   * @param again Read what is broken once more, changed or not: it may be that the system just
   *   couldn't (too many open files, say).
   */
  async refresh(again = false): Promise<void> {
    // One that runs already may have looked at a file before it changed.
    await this.#refreshing;
    this.#refreshing ??= this.#refresh(again).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Lets a request in, or answers it. */
  async admit(request: Request): Promise<Admission> {
    await this.refresh();
    const users = this.#users;
    if (users === undefined) return { rights: ALL_RIGHTS, user: undefined };
    const credentials = basicCredentials(request.headers.get("Authorization"));
    try {
      if (credentials !== undefined && (await users.verify(credentials)))
        return this.#admission(credentials.user);
    } catch (error) {
      if (!(error instanceof TooManyChecks)) throw error;
      return { refusal: textResponse(503, error.message, { "Retry-After": "1" }) };
    }
    const challenge = { "WWW-Authenticate": 'Basic realm="prombackup", charset="UTF-8"' };
    return { refusal: textResponse(401, "Unauthorized", challenge) };
  }

  #admission(user: string): Admission {
    return { rights: this.#config.rights.get(user) ?? ALL_RIGHTS, user };
  }

  /** Sets the headers that the file wants on every answer. */
  decorate(response: Response): Response {
    for (const [name, value] of this.#config.headers) response.headers.set(name, value);
    return response;
  }

  async #refresh(again: boolean): Promise<void> {
    const broken = again && this.#complaint !== undefined;
    if (!broken && !(await this.#loaded.files.changed())) return;
    this.#loaded = await loadAccess(this.paths, this.#loaded.files);
    try {
      if (this.#loaded.result instanceof Failure) throw this.#loaded.result;
      this.#apply(this.#loaded.result);
      if (this.#complaint !== undefined)
        this.log.info("the access configuration is in order again");
      this.#complaint = undefined;
    } catch (error) {
      this.#complain(errorText(error));
    }
  }

  #apply(next: AccessConfig): void {
    const before = this.#config;
    if (isDeepStrictEqual(next, before)) return;
    if ((next.tls === undefined) !== (before.tls === undefined))
      throw new Failure("turning TLS on or off takes a restart of the server");
    // The file may just be about to be written.
    if (next.users === undefined && before.users !== undefined)
      throw new Failure("letting everyone in takes a restart of the server: no users are left");
    if (before.tls?.rejectUnauthorized && !next.tls?.rejectUnauthorized)
      throw new Failure("asking for no client certificate takes a restart of the server");
    const unnamed = [...before.rights.keys()].filter(
      (name) => next.users?.has(name) && !next.rights.has(name),
    );
    if (unnamed.length > 0)
      throw new Failure(
        `giving all rights to a user that --access-file has named takes a restart of the server: ${unnamed.join(", ")}`,
      );
    if (next.tls !== undefined && !isDeepStrictEqual(next.tls, before.tls)) this.#onTls(next.tls);
    this.#setUsers(next);
    this.#config = next;
    this.log.info("access configuration read anew");
    this.#warnOfStrangers(this.#loaded.strangers);
  }

  #setUsers({ users }: AccessConfig): void {
    if (users === undefined) return;
    if (this.#users === undefined) this.#users = new Users(users);
    else this.#users.replace(users);
  }

  #complain(error: string): void {
    if (error === this.#complaint) return;
    this.#complaint = error;
    this.log.error("the access configuration is broken: the old one stays in force", { error });
  }

  #warnOfStrangers(users: readonly string[]): void {
    if (users.length > 0)
      this.log.warn("--access-file names users that are not in basic_auth_users", {
        users: users.join(","),
      });
  }
}
