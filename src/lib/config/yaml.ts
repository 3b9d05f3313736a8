import { errorText, Failure } from "../errors.ts";
import { Section } from "./section.ts";
import { writtenKeys } from "./yaml-keys.ts";

/**
 * Reads a YAML document whose top is a mapping, strictly: Bun's parser takes the last of two equal
 * keys, 007 for the key 7, any number of documents, and an empty file for null.
 *
 * @param file What messages call it.
 * @throws Failure that names the file; never with a value in it, since values may be secrets
 */
export function parseYaml(text: string, file: string): Section {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Failure(`${file}: ${errorText(cause)}`);
  }
  const section = Section.of(value ?? {}, file);
  const trouble = dubiousKey(text, value);
  if (trouble !== undefined) throw new Failure(`${file}: ${trouble}`);
  return section;
}

/** Compares the keys that were read with those that stand in the text. */
function dubiousKey(text: string, value: unknown): string | undefined {
  const read = keysRead(value);
  const lines = new Map<string, number[]>();
  for (const { name, line } of writtenKeys(text)) {
    // It takes in the keys of another mapping.
    if (name === "<<") continue;
    const mappings = read.get(name) ?? 0;
    if (mappings === 0)
      return `line ${line}: a key is not read as it stands there: put it in quotes`;
    lines.set(name, [...(lines.get(name) ?? []), line]);
  }
  for (const [name, mappings] of read) {
    const written = lines.get(name) ?? [];
    if (written.length === 0) return "a key stands there in another form than key: value";
    if (written.length > mappings) return `${name} is repeated: lines ${written.join(", ")}`;
  }
  return undefined;
}

/** The names of all keys, and in how many mappings each is. */
function keysRead(value: unknown, counts = new Map<string, number>(), known = new Set<unknown>()) {
  if (typeof value !== "object" || value === null || known.has(value)) return counts;
  // What aliases lead to is one thing, however often it is found.
  known.add(value);
  for (const [name, within] of Object.entries(value)) {
    if (!Array.isArray(value)) counts.set(name, (counts.get(name) ?? 0) + 1);
    keysRead(within, counts, known);
  }
  return counts;
}
