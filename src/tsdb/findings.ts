import { type Consequence, PROBLEMS, type ProblemKind, type Severity } from "./problems.ts";

/** One problem in one place. */
export interface Finding {
  readonly kind: ProblemKind;
  readonly severity: Severity;
  /** The block's directory name. */
  readonly block: string;
  /** The file below the block's directory; "" for the block as a whole. */
  readonly file: string;
  /** Where in the file, in bytes, if it is about one place. */
  readonly offset: number | undefined;
  /** What is wrong. */
  readonly message: string;
  /** The series and time range whose samples it concerns, if it is known. */
  readonly affects: string | undefined;
  /** What Prometheus would do. */
  readonly consequence: Consequence;
  /** What the operator can do. */
  readonly remedy: string;
}

/** How often a kind was found, of which at most {@link KEPT_PER_KIND} findings were kept. */
export interface FindingCount {
  readonly kind: ProblemKind;
  readonly severity: Severity;
  readonly count: number;
}

/** The first so many findings of each kind are kept; the others are counted. */
export const KEPT_PER_KIND = 10;

/** A finding with what its kind says. */
export function makeFinding(
  kind: ProblemKind,
  block: string,
  file: string,
  offset: number | undefined,
  message: string,
): Finding {
  const { severity, consequence, remedy } = PROBLEMS[kind];
  return {
    kind,
    severity,
    block,
    file,
    offset,
    message,
    affects: undefined,
    consequence,
    remedy,
  };
}

/** A finding in one line: place, problem, consequence, remedy. */
export function findingText(finding: Finding): string {
  const { block, file, offset, message, affects, consequence, remedy } = finding;
  const place = [
    `block ${block}`,
    ...(file ? [file] : []),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
  ];
  const concerns = affects === undefined ? "" : ` (${affects})`;
  const prometheus =
    consequence === "none" ? "Prometheus doesn't mind" : `in Prometheus: ${consequence}`;
  return `${place.join(", ")}: ${message}${concerns}; ${prometheus}; ${remedy}`;
}

/** Collects the findings of one block, in bounded memory. */
export class Findings {
  readonly #block: string;
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<ProblemKind, number>();

  constructor(block: string) {
    this.#block = block;
  }

  /** @returns a handle for {@link concerns}. */
  add(kind: ProblemKind, file: string, offset: number | undefined, message: string): number {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count > KEPT_PER_KIND) return -1;
    return this.#kept.push(makeFinding(kind, this.#block, file, offset, message)) - 1;
  }

  /** Says what samples a finding concerns, once that is known. The finding may not be a kept one. */
  concerns(handle: number, samples: string): void {
    const found = this.#kept[handle];
    if (found !== undefined) this.#kept[handle] = { ...found, affects: samples };
  }

  has(kind: ProblemKind): boolean {
    return this.#counts.has(kind);
  }

  /** What was kept, in the order it was found. */
  get list(): readonly Finding[] {
    return this.#kept;
  }

  get counts(): readonly FindingCount[] {
    return Array.from(this.#counts, ([kind, count]) => ({
      kind,
      severity: PROBLEMS[kind].severity,
      count,
    }));
  }
}
