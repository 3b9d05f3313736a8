import { freeWhole } from "../archive/buffers.ts";
import type { BlockChecks } from "../tsdb/checks.ts";
import { type Checked, checkArchive } from "../verify/check.ts";

/**
 * The check of an archive whose bytes come piece by piece, for somebody else first: they are checked
 * as they pass, and neither kept nor read again.
 */
export class ArrivingCheck {
  private readonly result: Promise<Checked>;
  private piece: Uint8Array | undefined;
  private ended = false;
  /** Whether the check is over: a broken container is known as such before its end. */
  private over = false;
  private wakeReader = () => {};
  private wakeWriter = () => {};

  constructor(checks: BlockChecks) {
    this.result = checkArchive(this.pieces(), checks).finally(() => {
      this.over = true;
      this.wakeWriter();
    });
    // Whoever asks for the result is told; that nobody has asked yet is no defect.
    this.result.catch(() => {});
  }

  /** Resolves when the piece is taken; its memory is freed when it has been checked. */
  async write(piece: Uint8Array): Promise<void> {
    if (this.over) return freeWhole(piece);
    this.piece = piece;
    this.wakeReader();
    while (this.piece !== undefined && !this.over) {
      await new Promise<void>((resolve) => {
        this.wakeWriter = resolve;
      });
    }
  }

  /**
   * All is written.
   *
   * @throws DamagedError if the archive's container is damaged
   */
  async finish(): Promise<Checked> {
    this.end();
    return this.result;
  }

  /** Gives the check up, so that it lets go of what it holds. */
  async cancel(): Promise<void> {
    this.end();
    // Nobody asks for its result any more: what broke off looks truncated.
    await this.result.catch(() => {});
  }

  private end(): void {
    this.ended = true;
    this.wakeReader();
  }

  private async *pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { piece } = this;
      if (piece !== undefined) {
        this.piece = undefined;
        this.wakeWriter();
        yield piece;
        // A reader keeps nothing of a piece when it asks for the next one.
        freeWhole(piece);
      } else if (this.ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.wakeReader = resolve;
        });
      }
    }
  }
}
