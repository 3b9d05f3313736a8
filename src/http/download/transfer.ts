import { free } from "../../archive/buffers.ts";
import type { ArchiveFormat } from "../../archive/format.ts";
import { type ArchivePlan, planArchive } from "../../archive/plan.ts";
import { type Compressor, writeArchive } from "../../archive/write.ts";
import { errorText, Failure } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { RateLimit } from "../../lib/rate-limit.ts";
import type { Leases } from "../../snapshots/lease.ts";
import type { SnapshotLock } from "../../snapshots/lock.ts";
import { requireStructure } from "../../snapshots/structure.ts";
import type { Downloads } from "../../status/downloads.ts";
import type { State } from "../../status/state.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Exchange } from "../router.ts";
import type { RunningTransfers } from "./running-transfers.ts";
import { guardTail, StallGuard } from "./stall-guard.ts";
import type { Verification } from "./verification.ts";

/** What a transfer needs of the server. */
export interface TransferParts {
  readonly compressor: Compressor;
  /** Checks what is sent, if that is wanted. */
  readonly verification: Verification | undefined;
  readonly downloads: Downloads;
  readonly leases: Leases;
  readonly running: RunningTransfers;
  readonly state: State;
  readonly instruments: Instruments;
  /** Milliseconds in which a client must take 64 KiB. */
  readonly stallTimeout: number;
  /** Of all downloads together. */
  readonly limit: RateLimit | undefined;
  readonly log: Log;
}

const CLIENT_GONE = "the client closed the connection";

/** How often it is looked whether a client has taken everything. */
const TAKEN_POLL_MS = 20;

/** What a transfer is to send, and what it lets go of at its end. */
export interface Cargo {
  readonly name: string;
  readonly format: ArchiveFormat;
  readonly lock: SnapshotLock;
  readonly freeSlot: () => void;
}

/**
 * One download: plan → archive → digest → body. It is on record from its beginning, and ends exactly
 * once, by its last byte, an error, a cut, or the client's leaving; then all that it held is let go.
 */
export class Transfer {
  readonly id: string;
  private readonly finishStatus: ReturnType<Downloads["start"]>["finish"];
  private readonly hasher = new Bun.CryptoHasher("sha256");
  private readonly aborter = new AbortController();
  private archive: AsyncGenerator<Uint8Array> | undefined;
  private readonly startedAt = performance.now();
  private unregister = () => {};
  private readonly onClientGone = () => this.cut(new Failure(CLIENT_GONE));
  private guard: StallGuard | undefined;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The piece that goes out next; one is always held back, so that the last is known as such. */
  private held: Uint8Array | undefined;
  /** The piece that went out last. */
  private sent: Uint8Array | undefined;
  private bytes = 0;
  private ended = false;

  constructor(
    private readonly cargo: Cargo,
    private readonly parts: TransferParts,
    private readonly exchange: Exchange,
  ) {
    const { id, finish } = parts.downloads.start(cargo.name);
    this.id = id;
    this.finishStatus = finish;
    parts.leases.downloadStarted(cargo.name);
  }

  /** Makes the first piece, so that what fails at once does so before an answer has begun. */
  async prepare(): Promise<ArchivePlan> {
    const { name, format, lock } = this.cargo;
    const { compressor, state } = this.parts;
    if (format !== "tar") compressor.prepare();
    if (!state.isConfirmed(name)) await requireStructure(lock.path, name);
    const plan = await planArchive(lock.path, name);
    // Not before: a cut lets the lock go, and a plan that goes on must not lose what it looks at.
    this.unregister = this.parts.running.add((reason) => this.sever(reason));
    const { signal } = this.exchange.request;
    // One that has fired already tells nobody.
    if (signal.aborted) throw new Failure(CLIENT_GONE);
    signal.addEventListener("abort", this.onClientGone);
    this.archive = this.write(plan);
    const first = await this.archive.next();
    if (this.ended) {
      if (!first.done) free(first.value);
      throw this.aborter.signal.reason;
    }
    if (!first.done) this.held = this.digest(first.value);
    return plan;
  }

  private write(plan: ArchivePlan): AsyncGenerator<Uint8Array> {
    const { compressor, verification, limit } = this.parts;
    const watcher = verification?.watcher();
    const { signal } = this.aborter;
    const archive = writeArchive(plan, this.cargo.format, compressor, signal, watcher);
    return limit?.pace(archive) ?? archive;
  }

  stream(): ReadableStream<Uint8Array> {
    const { exchange, parts } = this;
    this.guard = new StallGuard({
      limit: parts.stallTimeout,
      unsent: exchange.unsent,
      onStall: (reason) => this.sever(reason),
    });
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: (controller) => this.pull(controller),
        cancel: () => this.onClientGone(),
      },
      // Nothing is read ahead of the client: the archive has its own bounded look-ahead.
      { highWaterMark: 0 },
    );
  }

  private async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.freeSent();
    try {
      const next = await this.archive?.next();
      if (next === undefined) return;
      if (this.ended) {
        if (!next.done) free(next.value);
        return;
      }
      const piece = this.held ?? new Uint8Array();
      this.guard?.sent(piece.byteLength);
      if (next.done) {
        // Clients ask for the status right after the end, so it comes before the last byte.
        this.succeed();
        controller.enqueue(piece);
        controller.close();
      } else {
        this.held = this.digest(next.value);
        this.send(controller, piece);
      }
    } catch (error) {
      if (this.ended) return;
      // Of a snapshot with links, all that can be archived gets to the client before the reset, which
      // throws away what is still on its way.
      if (this.held !== undefined) this.send(controller, this.held);
      this.held = undefined;
      await this.taken();
      await this.fail(error);
    }
  }

  private send(controller: ReadableStreamDefaultController<Uint8Array>, piece: Uint8Array): void {
    this.sent = piece;
    controller.enqueue(piece);
  }

  /** Waits until the client has all that was sent; one that stalls is cut as any other. */
  private async taken(): Promise<void> {
    do await Bun.sleep(TAKEN_POLL_MS);
    while (!this.ended && (this.exchange.unsent() ?? 0) > 0);
  }

  private digest(piece: Uint8Array): Uint8Array {
    this.hasher.update(piece);
    this.bytes += piece.byteLength;
    return piece;
  }

  private succeed(): void {
    const sha256 = this.hasher.digest("hex");
    this.end({ success: true, error_text: null, sha256_hex: sha256 }, undefined);
  }

  /** Ends the transfer as failed; an error of the stream resets the connection in every protocol. */
  async fail(error: unknown): Promise<void> {
    if (this.ended) return;
    const cause = errorText(error);
    const { held } = this;
    this.held = undefined;
    this.end({ success: false, error_text: cause, sha256_hex: "" }, cause);
    this.controller?.error(new Failure(cause));
    this.aborter.abort(error);
    await this.archive?.return(undefined);
    if (held) free(held);
    this.freeSent();
  }

  /** Once for each piece: its memory is somebody else's next. */
  private freeSent(): void {
    const { sent } = this;
    this.sent = undefined;
    if (sent && this.exchange.copies) free(sent);
  }

  /** At once, where an error of the stream waits its turn behind what is in the buffers. */
  private sever(reason: Error): void {
    this.cut(reason);
    this.exchange.reset();
  }

  private cut(reason: Error): void {
    this.fail(reason).catch((error: unknown) => {
      this.parts.log.error("a cut download did not end cleanly", {
        id: this.id,
        error: errorText(error),
      });
    });
  }

  private end(result: Parameters<typeof this.finishStatus>[0], cause: string | undefined): void {
    this.ended = true;
    this.record(result.success);
    this.held = undefined;
    this.guard?.stop();
    if (result.success) guardTail(this.exchange, this.parts.stallTimeout);
    this.finishStatus(result);
    this.parts.leases.downloadEnded(this.cargo.name, result.success);
    this.exchange.request.signal.removeEventListener("abort", this.onClientGone);
    this.cargo.lock.release();
    this.cargo.freeSlot();
    this.unregister();
    this.log(cause);
  }

  private record(success: boolean): void {
    const { state, instruments } = this.parts;
    if (success) state.succeeded("download");
    const result = success ? "success" : "failure";
    instruments.downloadEnded(this.cargo.format, result, this.bytes, this.seconds);
  }

  private get seconds(): number {
    return (performance.now() - this.startedAt) / 1000;
  }

  private log(cause: string | undefined): void {
    const fields = {
      id: this.id,
      snapshot: this.cargo.name,
      format: this.cargo.format,
      peer: this.exchange.peer,
      bytes: this.bytes,
      duration: `${this.seconds.toFixed(3)}s`,
      error: cause,
    };
    if (cause === undefined) this.parts.log.info("download finished", fields);
    else this.parts.log.error("download failed", fields);
  }
}
