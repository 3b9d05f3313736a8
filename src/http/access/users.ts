import { createHmac, randomBytes } from "node:crypto";
import { Failure } from "../../lib/errors.ts";
import { Turns } from "../../snapshots/turns.ts";

/** Too many passwords wait to be checked. */
export class TooManyChecks extends Failure {}

export interface Credentials {
  readonly user: string;
  readonly password: Uint8Array;
}

/** With the highest cost that is taken, a wait of some ten seconds. */
const MAX_WAITING = 8;
const MAX_REMEMBERED = 100;
/** bcrypt knows no more of a password. Bun hashes a longer one first, which no other program does. */
const MAX_PASSWORD_BYTES = 72;

/**
 * Checks passwords against bcrypt hashes: one at a time, on a thread beside the event loop, so that
 * a flood takes one core at the most. Who was let in once isn't checked again and passes any flood.
 */
export class Users {
  #hashes: ReadonlyMap<string, string>;
  readonly #turns = new Turns();
  readonly #secret = randomBytes(32);
  /** Digests of what was right. Passwords themselves are never kept. */
  readonly #right = new Set<string>();
  /** So that the many requests of a client that starts wait for one check. */
  readonly #running = new Map<string, Promise<boolean>>();

  /** @param hashes by user; at least one */
  constructor(hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes;
  }

  /** From now on these count, at least one. Who is in, and whose hash is the same, isn't checked again. */
  replace(hashes: ReadonlyMap<string, string>): void {
    this.#hashes = hashes;
  }

  /**
   * Whether the password is the user's. An unknown user costs the same work as a known one.
   *
   * @throws TooManyChecks
   */
  async verify({ user, password }: Credentials): Promise<boolean> {
    const hash = this.#hashes.get(user);
    const checked = password.subarray(0, MAX_PASSWORD_BYTES);
    // Of digests, so that no part of a password can pass for a part of a name.
    const digest = this.#digest(this.#digest(user), this.#digest(hash ?? ""), checked);
    if (this.#right.has(digest)) return true;
    const running = this.#running.get(digest);
    if (running !== undefined) return running;
    if (this.#turns.waiting >= MAX_WAITING)
      throw new TooManyChecks("too many passwords wait to be checked: try again");
    const check = this.#check(user, hash, checked)
      .then((right) => {
        if (right) this.#remember(digest);
        return right;
      })
      .finally(() => this.#running.delete(digest));
    this.#running.set(digest, check);
    return check;
  }

  async #check(user: string, hash: string | undefined, password: Uint8Array): Promise<boolean> {
    const endTurn = await this.#turns.take(new AbortController().signal);
    try {
      const equal = await Bun.password.verify(password, hash ?? this.#decoy(user), "bcrypt");
      // It may have waited for long, and the user have got another password.
      return equal && hash !== undefined && hash === this.#hashes.get(user);
    } finally {
      endTurn();
    }
  }

  /** Another user's hash, always the same one: costs may differ, and mustn't tell who is known. */
  #decoy(user: string): string {
    const hashes = [...this.#hashes.values()];
    const chosen = Number.parseInt(this.#digest(user).slice(0, 8), 16) % hashes.length;
    return hashes[chosen] ?? "";
  }

  #digest(...parts: (string | Uint8Array)[]): string {
    const hmac = createHmac("sha256", this.#secret);
    for (const part of parts) hmac.update(part);
    return hmac.digest("hex");
  }

  #remember(digest: string): void {
    const [oldest] = this.#right;
    if (this.#right.size >= MAX_REMEMBERED && oldest !== undefined) this.#right.delete(oldest);
    this.#right.add(digest);
  }
}

/** What an `Authorization: Basic` header tells; undefined if it is absent or malformed (RFC 7617). */
export function basicCredentials(header: string | null): Credentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const bytes = Buffer.from(encoded, "base64");
  const colon = bytes.indexOf(":");
  if (colon < 0) return undefined;
  return { user: bytes.toString("utf8", 0, colon), password: bytes.subarray(colon + 1) };
}
