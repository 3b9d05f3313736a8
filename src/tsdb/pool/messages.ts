import type { BlockResult, CheckLevel } from "../check-block.ts";

/** Bytes of a piece of shared memory. */
export const PIECE = 256 * 1024;

/**
 * What the main thread says to a checking worker: first the pieces of memory, then step by step what
 * comes of each block. Pieces are named by their index.
 */
export type CheckRequest =
  | { readonly pieces: readonly SharedArrayBuffer[] }
  | ({ readonly check: number } & CheckStep);

export type CheckStep =
  | { readonly step: "begin"; readonly block: string; readonly level: CheckLevel }
  | { readonly step: "directory"; readonly path: string }
  | { readonly step: "open"; readonly path: string; readonly size: number }
  | { readonly step: "push"; readonly piece: number; readonly length: number }
  | { readonly step: "end" | "finish" | "close" };

/** A piece is free again; or a check has ended, by its result or an error that kept it from one. */
export type CheckResponse =
  | { readonly piece: number }
  | { readonly check: number; readonly result: BlockResult }
  | { readonly check: number; readonly error: string };
