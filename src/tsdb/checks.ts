import { BlockCheck, type BlockResult, type CheckLevel } from "./check-block.ts";

/** Where blocks are checked, and how closely. */
export interface BlockChecks {
  /** How many blocks may be at work at once, at least 1: each needs memory. */
  readonly atOnce: number;
  /** Begins a block, by the name of its directory. */
  begin(block: string): RunningCheck;
}

/** The check of one block; what it promises is said of {@link BlockCheck}. */
export interface RunningCheck {
  directory(path: string): void;
  /** The file before must have ended. The size, in bytes, is what is announced. */
  open(path: string, size: number): RunningFile;
  finish(): Promise<BlockResult>;
  close(): void;
}

export interface RunningFile {
  /** Takes the next piece: when it resolves, the bytes are the caller's again. */
  push(bytes: Uint8Array): void | Promise<void>;
  end(): void;
}

/** Checks blocks on the thread that asks, one at a time. */
export function checksHere(level: CheckLevel): BlockChecks {
  return { atOnce: 1, begin: (block) => new BlockCheck(block, level) };
}
