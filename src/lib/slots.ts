/** A fixed number of things to lend, first come, first served. */
export class Slots<T> {
  private readonly free: T[];
  private readonly waiting: PromiseWithResolvers<T>[] = [];
  private failure: Error | undefined;

  constructor(things: readonly T[]) {
    this.free = [...things];
  }

  /** Waits for a free one. Rejects if the slots have failed or fail meanwhile. */
  acquire(): Promise<T> {
    if (this.failure) return Promise.reject(this.failure);
    const thing = this.free.pop();
    if (thing !== undefined) return Promise.resolve(thing);
    const turn = Promise.withResolvers<T>();
    this.waiting.push(turn);
    return turn.promise;
  }

  /** Gives one back: exactly once for each that was acquired. */
  release(thing: T): void {
    const next = this.waiting.shift();
    if (next) next.resolve(thing);
    else this.free.push(thing);
  }

  /** Final: everyone who waits, or comes later, is told. */
  fail(error: Error): void {
    this.failure ??= error;
    for (const { reject } of this.waiting.splice(0)) reject(this.failure);
  }
}
