import { join } from "node:path";
import { counted, formatBytes, formatTime } from "../../lib/units.ts";
import { mayGiveTo } from "../ownership.ts";
import { isRestored } from "./choose.ts";
import type { Draft } from "./draft.ts";
import type { Facts, Request } from "./facts.ts";
import type { Verdict } from "./verdict.ts";

/** Guards that are about where blocks go. */
export function guardTarget(request: Request, facts: Facts, draft: Draft, verdict: Verdict): void {
  if (request.mode !== "blocks") guardRunning(facts, draft, verdict);
  guardContent(request, facts, draft, verdict);
  guardOwner(draft, facts, verdict);
  if (!facts.staged) guardSpace(draft, verdict);
}

function guardRunning(
  { users, running, dryRun }: Facts,
  { dataDir }: Draft,
  verdict: Verdict,
): void {
  const stop = (what: string) => {
    const message = `${what}: stop it first, as by systemctl stop prometheus`;
    if (dryRun) verdict.warn(message);
    else verdict.refuse("running", message);
  };
  for (const user of users) stop(`${dataDir} is in use: ${user}`);
  if (running === "starting") stop("a Prometheus is starting at --prometheus-endpoint");
  else if (running?.dataDir === dataDir) {
    stop(`Prometheus at ${running.url} runs on ${dataDir}`);
  } else if (running !== undefined) {
    verdict.warn(
      `Prometheus at ${running.url} runs on ${running.dataDir}, as it sees it: make sure that this is not ${dataDir} under another name`,
    );
  }
}

function guardContent(
  { mode }: Request,
  { target, archive }: Facts,
  draft: Draft,
  verdict: Verdict,
): void {
  const { path, entries, hasWal, blocks, within } = target;
  if (within !== undefined) {
    verdict.refuse(
      "not-data",
      `${path} has no samples, but ${within} has: say --data-dir ${within}, or move that away first`,
    );
  } else if (mode === "new" && entries.length > 0 && draft.way !== "insert") {
    const holds = `${path} is not empty: it holds ${counted(entries.length, "entry", "entries")}`;
    verdict.refuse(
      "not-empty",
      `${holds} (${counted(blocks.length, "block")}): --replace moves them aside and keeps them; --merge adds the blocks that are lacking`,
    );
  }
  if (draft.way !== "insert" && archive?.startsWith(join(path, "/"))) {
    verdict.refuse(
      "archive-there",
      `the archive lies in ${path} and would be moved aside with it: move it elsewhere first`,
    );
  }
  if (draft.way !== "insert" || !hasWal) return;
  const newest = Math.max(...blocks.map(({ meta }) => meta?.maxTime ?? Number.NEGATIVE_INFINITY));
  const [last] = draft.blocks
    .filter((block) => isRestored(block) && (block.meta?.maxTime ?? newest) > newest)
    .toSorted((a, b) => (b.meta?.maxTime ?? 0) - (a.meta?.maxTime ?? 0));
  if (last?.meta === undefined) return;
  verdict.warn(
    `block ${last.ulid} ends after the newest block of ${path}: at its next start Prometheus passes over what its write-ahead log has from before ${formatTime(new Date(last.meta.maxTime))}`,
  );
}

function guardOwner({ ownership, dataDir, way }: Draft, { target }: Facts, verdict: Verdict): void {
  if (!target.exists && way === "within") {
    verdict.refuse("owner", `${dataDir} can't be made: run as the owner of its parent, or as root`);
  }
  if (mayGiveTo(ownership)) return;
  verdict.refuse(
    "owner",
    `the files have to belong to ${ownership.uid}:${ownership.gid} (user:group), and prombackup runs as ${process.geteuid?.()}:${process.getegid?.()}: run it as that user or as root, or say --owner`,
  );
}

function guardSpace({ dataDir, bytes, freeBytes }: Draft, verdict: Verdict): void {
  if (bytes > freeBytes) {
    verdict.refuse(
      "space",
      `too little space for ${dataDir}: ${formatBytes(bytes)} are needed and ${formatBytes(freeBytes)} are free: free some, or restore to a larger disk (nothing is overwritten, so old and new need space together)`,
    );
  } else if (freeBytes - bytes < bytes / 10) {
    verdict.warn(
      `only ${formatBytes(freeBytes - bytes)} will be left free: Prometheus needs space for its write-ahead log and for compaction`,
    );
  }
}
