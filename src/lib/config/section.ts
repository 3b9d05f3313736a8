import { Failure } from "../errors.ts";

/**
 * A mapping of a configuration file whose every key is asked for by name and by kind; what nobody
 * asked for is refused in the end. Messages name the file and the key's path, never a value.
 */
export class Section {
  readonly #asked = new Set<string>();

  private constructor(
    private readonly values: ReadonlyMap<string, unknown>,
    private readonly file: string,
    private readonly path: string,
  ) {}

  /** @throws Failure if the value is no mapping */
  static of(value: unknown, file: string, path = ""): Section {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Failure(`${file}: ${path === "" ? "it" : path} is not a mapping`);
    return new Section(new Map(Object.entries(value)), file, path);
  }

  get keys(): string[] {
    return [...this.values.keys()];
  }

  has(key: string): boolean {
    return this.#value(key) != null;
  }

  /** A mapping within; undefined if it isn't there or is empty. */
  section(key: string): Section | undefined {
    const value = this.#value(key);
    const section = value == null ? undefined : Section.of(value, this.file, this.#pathOf(key));
    return section?.values.size === 0 ? undefined : section;
  }

  text(key: string): string | undefined {
    const value = this.#value(key);
    if (value == null) return undefined;
    if (typeof value !== "string") throw this.refuse(key, "is not text: put it in quotes");
    return value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.#value(key);
    if (value == null) return undefined;
    if (typeof value !== "boolean") throw this.refuse(key, "is neither true nor false");
    return value;
  }

  texts(key: string): string[] | undefined {
    const value = this.#value(key);
    if (value == null) return undefined;
    if (!Array.isArray(value)) throw this.refuse(key, "is not a list");
    return value.map((item: unknown) => {
      if (typeof item !== "string") throw this.refuse(key, "holds something that is not text");
      return item;
    });
  }

  /** One of some words. */
  word<const W extends string>(key: string, words: readonly W[]): W | undefined {
    const value = this.text(key);
    if (value === undefined) return undefined;
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw this.refuse(key, `is not one of ${words.join(", ")}`);
    return word;
  }

  /** Refuses keys that ask for what isn't done, each with what to say of it. An empty one asks for nothing. */
  notHonoured(reasons: Readonly<Record<string, string>>): void {
    for (const [key, reason] of Object.entries(reasons)) {
      const value = this.#value(key);
      const empty = value == null || value === "" || (Array.isArray(value) && value.length === 0);
      if (!empty) throw this.refuse(key, reason);
    }
  }

  /** At most one of these keys may be there. */
  exclusive(...keys: string[]): void {
    const [first, second] = keys.filter((key) => this.has(key));
    if (first !== undefined && second !== undefined)
      throw this.refuse(second, `and ${first} exclude each other`);
  }

  /** Ends the reading: a key that nothing asked for is an error. */
  end(): void {
    const unknown = this.keys.find((key) => !this.#asked.has(key));
    if (unknown === undefined) return;
    // Where a colon was forgotten, a secret may stand in a key's place.
    if (this.path !== "" && this.values.get(unknown) === null)
      throw new Failure(
        `${this.file}: ${this.path} holds something that is neither a known key nor has a value`,
      );
    throw this.refuse(unknown, "is not a known key");
  }

  refuse(key: string, reason: string): Failure {
    return new Failure(`${this.file}: ${this.#pathOf(key)} ${reason}`);
  }

  #value(key: string): unknown {
    this.#asked.add(key);
    return this.values.get(key);
  }

  #pathOf(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }
}
