import type { MemberWatcher } from "../../archive/encode.ts";
import { BlockContents } from "../../archive/inspect/check-blocks.ts";
import { DamagedError } from "../../lib/errors.ts";
import { type Finding, findingText } from "../../tsdb/findings.ts";
import { CheckPool } from "../../tsdb/pool/check-pool.ts";

/** How many problems of a damaged block a download tells: its status is one line. */
const TOLD = 3;

/** Checks the blocks that downloads send, on threads of its own, before their last byte is sent. */
export class Verification {
  private readonly pool: CheckPool;

  constructor(
    workerUrl: URL,
    private readonly told: { succeeded(): void; failed(): void },
  ) {
    // As with compression, one core is left to Prometheus.
    this.pool = new CheckPool(workerUrl, Math.max(1, navigator.hardwareConcurrency - 1));
  }

  /** For one download: ends it with a DamagedError after a block that Prometheus can't read. */
  watcher(): MemberWatcher {
    const contents = new BlockContents(this.pool.checks("structure"), ({ findings }) =>
      this.requireSound(findings),
    );
    return {
      begin: (member) => contents.begin(member),
      end: async () => {
        await contents.end();
        this.requireSound(contents.report().across);
        this.told.succeeded();
      },
      close: () => contents.close(),
    };
  }

  close(): void {
    this.pool.close();
  }

  private requireSound(findings: readonly Finding[]): void {
    const errors = findings.filter(({ severity }) => severity === "error");
    if (errors.length === 0) return;
    this.told.failed();
    const told = errors.slice(0, TOLD).map(findingText);
    const more = errors.length > TOLD ? ["more like these"] : [];
    throw new DamagedError(`the snapshot is damaged: ${[...told, ...more].join("; and ")}`);
  }
}
