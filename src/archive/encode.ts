import { slices } from "../lib/slices.ts";
import { readPlannedFile } from "./encode-file.ts";
import { type ArchivePlan, archivePath, type Member } from "./plan.ts";
import { encodeTarHeader, padded, TAR_END_SIZE } from "./tar/header.ts";

/** A file over this many bytes starts a fresh run of the compressor, by contract. */
export const LARGE_FILE = 1024 * 1024;

/** Some bytes of a tar. The bytes of all pieces, joined, are the tar. */
export interface TarPiece {
  readonly bytes: Uint8Array;
  /** Of the contents of a file over 1 MiB, or any of the rest: headers, padding, smaller files. */
  readonly kind: "large" | "small";
  /**
   * Whether a compressor must begin anew with these bytes. A large file's contents are a run of their
   * own, so that equal files give equal compressed runs, whatever stands around them.
   */
  readonly startsRun: boolean;
}

/**
 * The tar of a planned snapshot, piece by piece; reads at most one piece ahead of its consumer.
 *
 * @throws Failure naming a file that isn't any more what was planned; `signal`'s reason
 */
export async function* encodeTar(
  plan: ArchivePlan,
  signal: AbortSignal | undefined,
): AsyncGenerator<TarPiece> {
  const pause = slices();
  let afterLarge = false;
  for (const member of plan.members) {
    await pause();
    signal?.throwIfAborted();
    const large = member.size > LARGE_FILE;
    const header = encodeTarHeader({ ...member, path: archivePath(plan.name, member.path) });
    yield { bytes: header, kind: "small", startsRun: large || afterLarge };
    if (member.type === "file") yield* encodeBody(plan, member, large, signal);
    // Padding starts the run already.
    afterLarge = large && padded(member.size) === member.size;
  }
  yield { bytes: new Uint8Array(TAR_END_SIZE), kind: "small", startsRun: afterLarge };
}

async function* encodeBody(
  plan: ArchivePlan,
  member: Member,
  large: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<TarPiece> {
  let startsRun = large;
  for await (const bytes of readPlannedFile(plan, member)) {
    signal?.throwIfAborted();
    yield { bytes, kind: large ? "large" : "small", startsRun };
    startsRun = false;
  }
  const padding = new Uint8Array(padded(member.size) - member.size);
  if (padding.length > 0) yield { bytes: padding, kind: "small", startsRun: large };
}
