import { HttpError } from "../respond.ts";

/** How soon a client that was refused may come again, in seconds. */
const RETRY_AFTER = "60";

/** A bound on the downloads that are prepared or sent at once. */
export class DownloadSlots {
  private taken = 0;

  constructor(private readonly limit: number) {}

  /** @throws HttpError 503 if all are taken */
  requireFree(): void {
    if (this.taken < this.limit) return;
    throw new HttpError(
      503,
      `too many downloads at once: ${this.limit} run already (--max-downloads), try later`,
      { "Retry-After": RETRY_AFTER },
    );
  }

  /**
   * @returns what frees the slot; twice is fine
   * @throws as requireFree
   */
  take(): () => void {
    this.requireFree();
    this.taken++;
    let held = true;
    return () => {
      if (held) this.taken--;
      held = false;
    };
  }
}
