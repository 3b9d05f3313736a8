/**
 * The compression worker: an entry point of its own, started by compress-worker.ts.
 *
 * It reads files by itself, and hands its results over in shared memory. Messages carry only numbers:
 * buffers that are transferred with a message are never freed by Bun 1.4.5.
 */
import { readSync } from "node:fs";
import { errorCode, errorText } from "../../lib/errors.ts";
import { compressBlock } from "./compress-block.ts";
import type { Job, Outcome, Request } from "./messages.ts";

declare const self: Worker;

let slots: readonly Uint8Array[] = [];

/** Answers come in the order of the jobs. */
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if ("slots" in data) slots = data.slots.map((slot) => new Uint8Array(slot));
  else last = last.then(async () => self.postMessage(await run(data)));
};

async function run(job: Job): Promise<Outcome> {
  try {
    const slot = slots[job.slot];
    if (slot === undefined) throw new Error(`no slot ${job.slot}`);
    const bytes = slot.subarray(0, job.length);
    const failed = job.source && readWhole(bytes, job.source);
    if (failed) return failed;
    return { compressed: await compressBlock({ bytes, content: job.content }, job, slot) };
  } catch (error) {
    return { error: errorText(error) };
  }
}

function readWhole(
  bytes: Uint8Array,
  { fd, offset }: { readonly fd: number; readonly offset: number },
): Outcome | undefined {
  try {
    for (let have = 0; have < bytes.length; ) {
      const length = readSync(fd, bytes, have, bytes.length - have, offset + have);
      if (length === 0) return { shortAt: offset + have };
      have += length;
    }
    return undefined;
  } catch (error) {
    const errno = error instanceof Error && "errno" in error ? Number(error.errno) : undefined;
    return { unread: errorText(error), code: errorCode(error), errno };
  }
}
