import { slices } from "../lib/slices.ts";
import { type ArchivePlan, archivePath, type Member } from "./plan.ts";
import { PlannedFile, readPlannedFile } from "./planned-file.ts";
import { encodeTarHeader, padded, TAR_END_SIZE } from "./tar/header.ts";

/** A file over this many bytes starts a fresh run of the compressor, by contract. */
export const LARGE_FILE = 1024 * 1024;

/**
 * A part of a tar. All parts, joined, are the tar.
 *
 * A compressor must begin a fresh run with a large file's contents, and again where `startsRun` says
 * so: equal files then give equal compressed runs, whatever stands around them.
 */
export type TarPiece =
  /** Headers, padding, contents of files up to 1 MiB. */
  | { readonly bytes: Uint8Array; readonly startsRun: boolean }
  /** The contents of a larger file; whoever wants it beyond the next piece must hold it. */
  | { readonly file: PlannedFile };

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
    yield { bytes: header, startsRun: large || afterLarge };
    if (member.type === "file") yield* encodeBody(plan, member);
    const padding = new Uint8Array(padded(member.size) - member.size);
    if (padding.length > 0) yield { bytes: padding, startsRun: large };
    // Padding starts the run already.
    afterLarge = large && padding.length === 0;
  }
  yield { bytes: new Uint8Array(TAR_END_SIZE), startsRun: afterLarge };
}

async function* encodeBody(plan: ArchivePlan, member: Member): AsyncGenerator<TarPiece> {
  if (member.size <= LARGE_FILE) {
    for await (const bytes of readPlannedFile(plan, member)) yield { bytes, startsRun: false };
    return;
  }
  const file = PlannedFile.open(plan, member);
  try {
    yield { file };
  } finally {
    file.release();
  }
}
