/** The transfers that run, so that a stopping server can wait for them and then cut them. */
export class RunningTransfers {
  private readonly cuts = new Set<(reason: Error) => void>();
  private waiters: (() => void)[] = [];

  get count(): number {
    return this.cuts.size;
  }

  add(cut: (reason: Error) => void): () => void {
    this.cuts.add(cut);
    return () => {
      this.cuts.delete(cut);
      if (this.cuts.size > 0) return;
      for (const wake of this.waiters) wake();
      this.waiters = [];
    };
  }

  /** Resolves when none runs. */
  async ended(): Promise<void> {
    if (this.cuts.size > 0) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  cutAll(reason: Error): void {
    for (const cut of [...this.cuts]) cut(reason);
  }
}
