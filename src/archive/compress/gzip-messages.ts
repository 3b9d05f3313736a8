import type { TarPiece } from "../encode.ts";

/** What the main thread says to a compression worker: first the blocks, then a job at a time. */
export type GzipRequest =
  | { readonly blocks: readonly SharedArrayBuffer[] }
  | { readonly block: number; readonly length: number; readonly kind: TarPiece["kind"] };

/** A job's end: the block now holds so many compressed bytes, or an error that says why it doesn't. */
export type GzipResponse =
  | { readonly block: number; readonly length: number }
  | { readonly block: number; readonly error: string };
