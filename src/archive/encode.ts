import { slices } from "../lib/slices.ts";
import { type ArchivePlan, archivePath, type Member } from "./plan.ts";
import { PlannedFile, readSmallFile, SMALL_FILE } from "./planned-file.ts";
import { encodeTarHeader, padded, TAR_END_SIZE } from "./tar/header.ts";

/** A file over this many bytes starts a fresh run of the compressor, by contract. */
const LARGE_FILE = 1024 * 1024;

/**
 * A part of a tar. All parts, joined, are the tar.
 *
 * A compressor must begin a fresh run with a large file's contents, and again where `startsRun` says
 * so: equal files then give equal compressed runs, whatever stands around them.
 */
export type TarPiece =
  /** Headers, padding, contents of files up to 1 MiB; of small files all of it at once. */
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
      const header = encodeTarHeader(named);
      const padding = padded(member.size) - member.size;
      if (member.size <= SMALL_FILE) {
        // Each piece costs all who pass it on a turn, so there is one.
        const bytes = wholeMember(plan, member, header);
        await content?.push(bytes.subarray(header.length, header.length + member.size));
        content?.end();
        yield { bytes, startsRun: afterLarge };
      } else {
        yield { bytes: header, startsRun: large || afterLarge };
        yield* encodeBody(plan, member, content);
        if (padding > 0) yield { bytes: new Uint8Array(padding), startsRun: large };
      }
      // Padding starts the run already.
      afterLarge = large && padding === 0;
    }
    await watcher?.end();
  } finally {
    watcher?.close();
  }
  yield { bytes: new Uint8Array(TAR_END_SIZE), startsRun: afterLarge };
}

/** A directory, or a small file with all that belongs to it. */
function wholeMember(plan: ArchivePlan, member: Member, header: Uint8Array): Uint8Array {
  if (member.type === "directory") return header;
  const bytes = new Uint8Array(header.length + padded(member.size));
  bytes.set(header);
  readSmallFile(plan, member, bytes.subarray(header.length, header.length + member.size));
  return bytes;
}

async function* encodeBody(
  plan: ArchivePlan,
  member: Member,
  content: ContentWatcher | undefined,
): AsyncGenerator<TarPiece> {
  const file = PlannedFile.open(plan, member);
  try {
    if (member.size > LARGE_FILE) yield { file, content };
    else {
      for await (const bytes of file.read()) {
        await content?.push(bytes);
        yield { bytes, startsRun: false };
      }
    }
  } finally {
    file.release();
  }
  content?.end();
}
