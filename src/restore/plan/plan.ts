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
  const drafted = draft(request, facts);
  const verdict = new Verdict();
  guardTarget(request, facts, drafted, verdict);
  guardBlocks(request, facts, drafted, verdict);
  const { superseded, overlaps, diskBytes, future, ...plan } = drafted;
  return { ...plan, refusals: verdict.refusals, warnings: verdict.warnings };
}
