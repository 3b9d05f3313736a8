/**
 * The compression worker of `tgz`: an entry point of its own, started by gzip-worker.ts.
 *
 * Blocks travel in shared memory, both ways in the same buffer, and messages carry only numbers:
 * buffers that are transferred with a message are never freed by Bun 1.4.5.
 */
import { errorText } from "../../lib/errors.ts";
import { free } from "../free.ts";
import { gzipBlock } from "./gzip-block.ts";
import type { GzipRequest, GzipResponse } from "./gzip-messages.ts";

declare const self: Worker;

let blocks: readonly Uint8Array[] = [];

self.onmessage = ({ data }: MessageEvent<GzipRequest>) => {
  if ("blocks" in data) blocks = data.blocks.map((block) => new Uint8Array(block));
  else self.postMessage(run(data));
};

function run({ block, length, kind }: Extract<GzipRequest, { block: number }>): GzipResponse {
  try {
    const shared = blocks[block];
    if (shared === undefined) throw new Error(`no block ${block}`);
    // A private copy: libdeflate must not read memory that another thread could change.
    const input = shared.slice(0, length);
    const member = gzipBlock(input, kind);
    shared.set(member);
    const answer = { block, length: member.length };
    free(input);
    free(member);
    return answer;
  } catch (error) {
    return { block, error: errorText(error) };
  }
}
