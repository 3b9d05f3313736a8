import { DamagedError } from "../lib/errors.ts";

const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * Cuts a stream of bytes, in pieces of any size, into what a parser asks for. Holds one piece of
 * the input at a time, and only until it asks for the next: what is handed on are views of it, as good
 * as long as the piece is. They are never written to.
 */
export class ByteSource {
  /** What is being read, added to the message when the input turns out to be damaged. */
  context = "";
  readonly #input: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = NOTHING;
  #offset = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** How many bytes were handed out. */
  get offset(): number {
    return this.#offset;
  }

  /** The next 1 to `max` bytes, or undefined at the end of the input. */
  async take(max: number): Promise<Uint8Array | undefined> {
    while (this.#piece.length === 0) {
      const next = await this.#next();
      if (next === undefined) return undefined;
      this.#piece = next;
    }
    const taken = this.#piece.subarray(0, max);
    this.#piece = this.#piece.subarray(taken.length);
    this.#offset += taken.length;
    return taken;
  }

  /** The next `count` bytes in one array; fewer only if the input ends before. */
  async exactly(count: number): Promise<Uint8Array> {
    const first = count === 0 ? undefined : await this.take(count);
    if (first === undefined) return NOTHING;
    if (first.length === count) return first;
    const whole = new Uint8Array(count);
    whole.set(first);
    let have = first.length;
    while (have < count) {
      const more = await this.take(count - have);
      if (more === undefined) return whole.subarray(0, have);
      whole.set(more, have);
      have += more.length;
    }
    return whole;
  }

  /** What is left, piece by piece; ends the input when the consumer stops early. */
  async *rest(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = await this.take(Number.MAX_SAFE_INTEGER);
        if (piece === undefined) return;
        yield piece;
      }
    } finally {
      await this.close();
    }
  }

  /** Lets go of the input (a file is closed, a decompressor stopped). Twice is fine. */
  async close(): Promise<void> {
    this.#piece = NOTHING;
    await this.#input.return?.();
  }

  async #next(): Promise<Uint8Array | undefined> {
    // Whoever swallows an error and asks again must not mistake it for a clean end.
    if (this.#failure) throw this.#failure.error;
    try {
      const { done, value } = await this.#input.next();
      return done ? undefined : value;
    } catch (cause) {
      const error = this.#explain(cause);
      this.#failure = { error };
      throw error;
    }
  }

  #explain(cause: unknown): unknown {
    if (!(cause instanceof DamagedError) || this.context === "") return cause;
    return new DamagedError(`${cause.message} (${this.context})`, { cause });
  }
}
