/** One at a time, the others in the order in which they came. */
export class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether a caller would have to wait. */
  get taken(): boolean {
    return this.#taken;
  }

  /**
   * Waits for the turn, or until the signal fires: then it throws the signal's reason, and the place
   * in the row is given up.
   *
   * @returns what ends the turn; to be called once
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken) await this.#wait(signal);
    this.#taken = true;
    return () => {
      const next = this.#waiting.shift();
      // The turn is handed on as taken: nobody can come in between.
      if (next === undefined) this.#taken = false;
      else next();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const proceed = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(proceed), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(proceed);
    });
  }
}
