import type { Server } from "bun";
import { errorCode, errorText, Failure } from "../lib/errors.ts";
import type { ServerTls } from "./access/tls.ts";

export interface ListenAddress {
  /** Undefined: all interfaces. */
  readonly hostname: string | undefined;
  readonly port: number;
}

export interface Handlers {
  readonly fetch: (request: Request, server: Server<undefined>) => Promise<Response>;
  readonly error: (error: Error) => Response;
}

/** Forms have some dozen bytes; nothing else is ever sent to us. */
const MAX_BODY_BYTES = 64 * 1024;

/** How long a connection may be silent, in seconds. */
export const IDLE_SECONDS = 10;

/**
 * Listens on an address. Bun gives a listener one certificate for its life, so a new certificate takes
 * a new listener: it takes over the port, while the old one carries its requests to their end.
 */
export class Listener {
  #server: Server<undefined>;
  #stopped = false;
  /** The listeners that have stopped listening, each until its last answer is out. */
  readonly #draining = new Map<Server<undefined>, Promise<void>>();

  /** @throws Failure if it can't listen there */
  constructor(
    private readonly address: ListenAddress,
    tls: ServerTls | undefined,
    private readonly handlers: Handlers,
  ) {
    // Outside of development Bun would share the port with whoever listens there already. Only once
    // it is known that nobody does, it is shared, with the listeners that come after this one.
    this.#server = this.#listen(address.port, tls, false);
    if (tls === undefined) return;
    const { port } = this;
    void this.#server.stop(true);
    this.#server = this.#listen(port, tls, true);
  }

  get port(): number {
    return this.#server.port ?? this.address.port;
  }

  /**
   * The next handshake is made with this. The new listener is there before the old one goes, so that
   * no connection is refused; one that is in its handshake, or waits for a request, is closed.
   *
   * @throws Failure; what was before goes on then
   */
  replaceTls(tls: ServerTls): void {
    if (this.#stopped) return;
    const next = this.#listen(this.port, tls, true);
    this.#drain();
    this.#server = next;
  }

  /** Takes no more connections; resolves when the last answer is out. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#drain();
    await Promise.all(this.#draining.values());
  }

  /** Ends all connections. */
  async cut(): Promise<void> {
    await Promise.all([this.#server, ...this.#draining.keys()].map((server) => server.stop(true)));
  }

  #drain(): void {
    const server = this.#server;
    const done = server.stop().then(() => void this.#draining.delete(server));
    this.#draining.set(server, done);
  }

  #listen(port: number, tls: ServerTls | undefined, reusePort: boolean): Server<undefined> {
    const { hostname } = this.address;
    try {
      return Bun.serve({
        ...(hostname === undefined ? {} : { hostname }),
        port,
        ...(tls === undefined ? {} : { tls: { ...tls } }),
        maxRequestBodySize: MAX_BODY_BYTES,
        idleTimeout: IDLE_SECONDS,
        development: false,
        reusePort,
        fetch: this.handlers.fetch,
        error: this.handlers.error,
      });
    } catch (cause) {
      throw this.#failure(cause, `${hostname ?? ""}:${port}`);
    }
  }

  #failure(cause: unknown, address: string): Failure {
    const code = errorCode(cause) ?? "";
    if (code === "EADDRINUSE") {
      return new Failure(
        `${address} is in use by another program: name another --listen-address, or stop that program (ss -ltnp shows it)`,
      );
    }
    if (code.startsWith("ERR_OSSL"))
      return new Failure(`tls_server_config can't be used: ${errorText(cause)}`);
    return new Failure(`can't listen on ${address}`, { cause });
  }
}
