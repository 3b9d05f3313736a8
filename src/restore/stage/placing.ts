import { basename } from "node:path";
import { isUlid } from "../../tsdb/meta.ts";
import { isAsideName } from "../names.ts";
import { type ChosenBlock, isRestored } from "../plan/choose.ts";
import type { Way } from "../plan/draft.ts";
import type { Request } from "../plan/facts.ts";

/**
 * What is to be put in place, and how. It is written down before the first step, so that a second run
 * can finish what the first one began, and tell how to undo it.
 */
export interface Placing {
  readonly snapshot: string;
  readonly mode: Request["mode"];
  readonly way: Way;
  /** The blocks that are put in place. */
  readonly restored: readonly string[];
  /** Those of them that take the place of blocks of the same name. */
  readonly replaced: readonly string[];
  /** The name of where what is there now goes; undefined if nothing does. */
  readonly aside: string | undefined;
}

interface Planned {
  readonly snapshot: string;
  readonly way: Way;
  readonly blocks: readonly ChosenBlock[];
  readonly aside: string | undefined;
}

export function placingOf(plan: Planned, mode: Request["mode"]): Placing {
  const { snapshot, way, blocks, aside } = plan;
  const restored = blocks.filter(isRestored);
  const replaced = restored.filter(({ action }) => action === "replace");
  return {
    snapshot,
    mode,
    way,
    restored: restored.map(({ ulid }) => ulid),
    replaced: replaced.map(({ ulid }) => ulid),
    aside: aside && basename(aside),
  };
}

const WAYS = ["exchange", "within", "insert"] as const;
const MODES = ["new", "replace", "merge", "blocks"] as const;

/**
 * Reads what was written down. It is looked at closely, as others may write where it lies.
 *
 * @returns undefined if it isn't what was written
 */
export function parsePlacing(text: string): Placing | undefined {
  const found: unknown = JSON.parse(text);
  if (typeof found !== "object" || found === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(found));
  const way = WAYS.find((known) => known === fields.get("way"));
  const mode = MODES.find((known) => known === fields.get("mode"));
  const restored = ulids(fields.get("restored"));
  const replaced = ulids(fields.get("replaced"));
  const aside = fields.get("aside");
  if (!way || !mode || !restored || !replaced) return undefined;
  if (aside !== undefined && !(typeof aside === "string" && isAsideName(aside))) return undefined;
  return { snapshot: String(fields.get("snapshot")), way, mode, restored, replaced, aside };
}

function ulids(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const names = value.map(String);
  return names.every((name) => isUlid(name)) ? names : undefined;
}
