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
  | {
      readonly file: PlannedFile;
      /** To be shown all of them, in their order and before the next piece is asked for. */
      readonly content: ContentWatcher | undefined;
    };

/** Sees the members of a tar before its consumer does. What it throws ends the tar. */
export interface MemberWatcher {
  /** Answers what is to see the contents, if it wants to. Paths are those in the archive. */
  begin(member: Pick<Member, "path" | "type" | "size">): Promise<ContentWatcher | undefined>;
  /** All were seen; the end of the tar waits for this. */
  end(): Promise<void>;
  /** Nothing more comes, whether the tar has ended well or not. */
  close(): void;
}

export interface ContentWatcher {
  /** The bytes stay as they are until it resolves. */
  push(bytes: Uint8Array): void | Promise<void>;
  end(): void;
}

/**
 * The tar of a planned snapshot, piece by piece; reads at most one piece ahead of its consumer.
 *
 * @throws Failure naming a file that isn't any more what was planned; `signal`'s reason
 */
export async function* encodeTar(
  plan: ArchivePlan,
  signal: AbortSignal | undefined,
  watcher?: MemberWatcher,
): AsyncGenerator<TarPiece> {
  const pause = slices();
  let afterLarge = false;
  try {
    for (const member of plan.members) {
      await pause();
      signal?.throwIfAborted();
      const large = member.size > LARGE_FILE;
      const named = { ...member, path: archivePath(plan.name, member.path) };
      const content = await watcher?.begin(named);
      yield { bytes: encodeTarHeader(named), startsRun: large || afterLarge };
      if (member.type === "file") yield* encodeBody(plan, member, content);
      const padding = new Uint8Array(padded(member.size) - member.size);
      if (padding.length > 0) yield { bytes: padding, startsRun: large };
      // Padding starts the run already.
      afterLarge = large && padding.length === 0;
    }
    await watcher?.end();
  } finally {
    watcher?.close();
  }
  yield { bytes: new Uint8Array(TAR_END_SIZE), startsRun: afterLarge };
}

async function* encodeBody(
  plan: ArchivePlan,
  member: Member,
  content: ContentWatcher | undefined,
): AsyncGenerator<TarPiece> {
  if (member.size > LARGE_FILE) {
    const file = PlannedFile.open(plan, member);
    try {
      yield { file, content };
    } finally {
      file.release();
    }
  } else {
    for await (const bytes of readPlannedFile(plan, member)) {
      await content?.push(bytes);
      yield { bytes, startsRun: false };
    }
  }
  content?.end();
}
