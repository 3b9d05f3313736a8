import type { CompressedFormat } from "../format.ts";

/** What a block is to become: one gzip member, or one zstd frame. */
export interface BlockFormat {
  readonly format: CompressedFormat;
  /** Of gzip 1 to 12, of zstd 1 to 19. */
  readonly level: number;
}

/** Of what a block is a part: a segment file of chunks, or anything else. */
export type BlockContent = "chunks" | "other";

/**
 * A block to compress: so many bytes from a place in an open file, or those that its slot begins with.
 * A descriptor is valid on all threads of a process; it stays open until the job has ended.
 */
export interface Job extends BlockFormat {
  readonly slot: number;
  readonly length: number;
  readonly content: BlockContent;
  readonly source: { readonly fd: number; readonly offset: number } | undefined;
}

/** What the main thread says to a compression worker: first the slots, then a job at a time. */
export type Request = { readonly slots: readonly SharedArrayBuffer[] } | Job;

/** What became of a job. */
export type Outcome =
  /** So many compressed bytes, with which the slot now begins. */
  | { readonly compressed: number }
  /** The file ended before the block did. */
  | { readonly shortAt: number }
  /** The system didn't let it be read. */
  | {
      readonly unread: string;
      readonly code: string | undefined;
      readonly errno: number | undefined;
    }
  | { readonly error: string };
