import { draft, type Intent } from "./draft.ts";
import type { Facts, Request } from "./facts.ts";
import { guardBlocks } from "./guard-blocks.ts";
import { guardTarget } from "./guard-target.ts";
import { type Refusal, Verdict } from "./verdict.ts";

/** What a restore will do, and what speaks against it. Data alone: it has done nothing. */
export interface Plan extends Intent {
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly string[];
}

/** Decides what to do, and whether; looks at the free space alone, and changes nothing. */
export function makePlan(request: Request, facts: Facts): Plan {
  const { superseded, overlaps, diskBytes, future, ...plan } = draft(request, facts);
  const verdict = new Verdict();
  const drafted = { ...plan, superseded, overlaps, diskBytes, future };
  guardTarget(request, facts, drafted, verdict);
  guardBlocks(request, facts, drafted, verdict);
  return { ...plan, refusals: verdict.refusals, warnings: verdict.warnings };
}
