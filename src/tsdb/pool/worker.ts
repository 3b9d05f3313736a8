/**
 * The checking worker: an entry point of its own, started by check-thread.ts. It has several blocks in
 * hand if several streams are checked.
 *
 * Bytes come in shared memory and messages carry only numbers: buffers that are transferred with a
 * message are never freed by Bun 1.4.5.
 */
import { errorText } from "../../lib/errors.ts";
import { BlockCheck, type FileCheck } from "../check-block.ts";
import { type CheckRequest, type CheckResponse, type CheckStep, PIECE } from "./messages.ts";

declare const self: Worker;

interface Running {
  readonly check: BlockCheck;
  file: FileCheck | undefined;
}

const running = new Map<number, Running>();
/** Loops over bytes are fast as long as they see one kind of memory. */
const own = new Uint8Array(PIECE);
let shared: readonly Uint8Array[] = [];

self.onmessage = ({ data }: MessageEvent<CheckRequest>) => {
  if ("pieces" in data) shared = data.pieces.map((memory) => new Uint8Array(memory));
  else run(data.check, data).catch((error: unknown) => fail(data.check, error));
};

async function run(id: number, step: CheckStep): Promise<void> {
  if (step.step === "begin") {
    running.set(id, { check: new BlockCheck(step.block, step.level), file: undefined });
    return;
  }
  const bytes = step.step === "push" ? taken(step.piece, step.length) : undefined;
  const found = running.get(id);
  // It has failed, and what was on its way still comes.
  if (found === undefined) return;
  if (bytes !== undefined) found.file?.push(bytes);
  else if (step.step === "directory") found.check.directory(step.path);
  else if (step.step === "open") found.file = found.check.open(step.path, step.size);
  else if (step.step === "end") found.file?.end();
  else if (step.step === "close") drop(id);
  else {
    const result = await found.check.finish();
    drop(id);
    answer({ check: id, result });
  }
}

/** Copies a piece, so that it is free for the next one while this is checked. */
function taken(piece: number, length: number): Uint8Array {
  const memory = shared[piece];
  if (memory === undefined) throw new Error(`no piece ${piece}`);
  own.set(memory.subarray(0, length));
  answer({ piece });
  return own.subarray(0, length);
}

function fail(id: number, error: unknown): void {
  drop(id);
  answer({ check: id, error: errorText(error) });
}

function drop(id: number): void {
  running.get(id)?.check.close();
  running.delete(id);
}

function answer(response: CheckResponse): void {
  self.postMessage(response);
}
