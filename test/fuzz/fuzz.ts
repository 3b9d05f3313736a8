import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Randoms, randoms } from "../tsdb/support/random.ts";

const CORPUS = join(import.meta.dir, "corpus");

/** A parser under attack. */
export interface Target {
  readonly name: string;
  /** Sound inputs, which are bent. */
  readonly seeds: readonly Uint8Array[];
  /** Pieces of the format, put in at random places. */
  readonly words?: readonly string[];
  /** Takes any bytes; throws only what {@link Target.expected} knows. Returns how much came out. */
  readonly run: (input: Uint8Array) => unknown;
  /** Whether this is how the parser refuses an input. */
  readonly expected: (error: unknown) => boolean;
  /** How many inputs a run tries; PROMBACKUP_FUZZ multiplies it. */
  readonly cases?: number;
}

/** No parser takes longer for a small input: by the clock, and of what the processors did for it. */
const SLOWEST_MS = 2000;
/** Nor does a run need more memory than that. */
const MOST_BYTES = 400 * 1024 * 1024;

/**
 * Tries a parser with bent inputs, another thousand in each run but the same under one
 * PROMBACKUP_FUZZ_SEED, and first with those of test/fuzz/corpus/NAME, each named for what is wrong with
 * it: they broke a parser, or would if it had no bounds. An input that breaks it is written there.
 */
export function fuzz(target: Target): void {
  const directory = join(CORPUS, target.name);
  for (const file of existsSync(directory) ? readdirSync(directory) : []) {
    test(`${target.name}: ${file} of the corpus is harmless`, async () => {
      expect(await attempt(target, readFileSync(join(directory, file)))).toBeUndefined();
    });
  }
  test(`${target.name}: bent inputs are harmless`, async () => {
    const seed = process.env["PROMBACKUP_FUZZ_SEED"] ?? String(Date.now());
    const random = randoms(`${target.name} ${seed}`);
    const cases = (target.cases ?? 1000) * Number(process.env["PROMBACKUP_FUZZ"] ?? 1);
    const before = process.memoryUsage.rss();
    for (let number = 0; number < cases; number++) {
      const input = bend(target, random);
      const broken = await attempt(target, input);
      if (broken === undefined) continue;
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `${Bun.hash(input).toString(16)}`), input);
      throw new Error(`seed ${seed}, case ${number}: ${broken}`);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_BYTES);
  }, 300_000);
}

async function attempt(target: Target, input: Uint8Array): Promise<string | undefined> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  try {
    await target.run(input);
  } catch (error) {
    if (!target.expected(error)) return `threw ${Bun.inspect(error)}`;
  }
  const took = performance.now() - startedAt;
  if (took <= SLOWEST_MS) return undefined;
  // On a busy machine a process may wait for its turn for longer than that.
  const { user, system } = process.cpuUsage(cpuBefore);
  const worked = (user + system) / 1000;
  return worked > SLOWEST_MS
    ? `took ${Math.round(took)} ms, ${Math.round(worked)} of work`
    : undefined;
}

function bend(target: Target, random: Randoms): Uint8Array {
  const seed = target.seeds[random.below(target.seeds.length)] ?? new Uint8Array();
  let bytes = Buffer.from(seed);
  for (let times = 1 + random.below(4); times > 0; times--) bytes = bendOnce(bytes, target, random);
  return bytes;
}

function bendOnce(bytes: Buffer, target: Target, random: Randoms): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + random.below(random.below(2) ? 8 : 600));
  const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
  switch (random.below(9)) {
    case 0: // A bit flipped.
      return Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ (1 << random.below(8)) : byte)));
    case 1: // Noise.
      return Buffer.concat([head, random.bytes(middle.length), tail]);
    case 2: // Cut short.
      return Buffer.from(head);
    case 3: // Something left out.
      return Buffer.concat([head, tail]);
    case 4: // Something twice.
      return Buffer.concat([head, middle, middle, tail]);
    case 5: // Extremes, in place.
      return Buffer.concat([head, Buffer.alloc(middle.length, random.below(2) ? 0xff : 0), tail]);
    case 6: // Of another one.
      return Buffer.concat([head, target.seeds[random.below(target.seeds.length)] ?? tail]);
    case 7: // Digits turned into others: lengths, sizes, times.
      return Buffer.from(
        bytes.map((byte, i) =>
          i >= at && i < to && byte >= 48 && byte < 58 ? 48 + random.below(10) : byte,
        ),
      );
    default: {
      const words = target.words ?? ["\0", "\u00ff", "-1", "9".repeat(30), "\n"];
      return Buffer.concat([head, Buffer.from(words[random.below(words.length)] ?? ""), tail]);
    }
  }
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function seeds(...texts: string[]): Uint8Array[] {
  return texts.map((each) => new TextEncoder().encode(each));
}
