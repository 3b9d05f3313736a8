/** Enough to see what is wrong; a hostile archive could have millions. */
const MOST = 20;

/** A list of messages that stays short: beyond twenty they are only counted. */
export class Messages {
  readonly #texts: string[] = [];
  #count = 0;

  add(text: string): void {
    this.#count++;
    if (this.#texts.length < MOST) this.#texts.push(text);
  }

  list(): readonly string[] {
    const more = this.#count - this.#texts.length;
    return more === 0 ? this.#texts : [...this.#texts, `and ${more} more like these`];
  }
}
