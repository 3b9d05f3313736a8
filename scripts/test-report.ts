import { existsSync } from "node:fs";

/**
 * How many tests passed and failed, from the summary that ends `bun test`'s output. A run that fails
 * without a failed test (none found, a crash before the summary) counts as one failure.
 */
export function readCounts(output: string, status: number): { passed: number; failed: number } {
  const plain = Bun.stripANSI(output);
  const count = (what: string) => {
    // The last one: a test may print such a line itself.
    const [last] = [...plain.matchAll(new RegExp(`^ *(\\d+) ${what}$`, "gm"))].slice(-1);
    return Number(last?.[1] ?? 0);
  };
  const [passed, failed] = [count("pass"), count("fail")];
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed };
}

/**
 * A line for each test that `bun test` skipped: its file, its name, and the tools that its file
 * misses. `report` is the JUnit file, `missing` what `needs` of test/support/tools.ts noted.
 */
export async function skippedTests(report: string, missing: string): Promise<string[]> {
  const tools = new Map<string, Set<string>>();
  for (const line of (await read(missing)).split("\n")) {
    const [file = "", tool = ""] = line.split("\t");
    if (tool) tools.set(file, (tools.get(file) ?? new Set()).add(tool));
  }
  const skipped: string[] = [];
  for (const [, attributes = ""] of (await read(report)).matchAll(SKIPPED)) {
    const attribute = (name: string) =>
      unescapeXml(new RegExp(` ${name}="([^"]*)"`).exec(` ${attributes}`)?.[1] ?? "");
    const file = attribute("file");
    const name = [attribute("classname"), attribute("name")].filter(Boolean).join(" > ");
    const needed = [...(tools.get(file) ?? [])].sort().join(", ");
    skipped.push(`${file}: ${name}${needed && ` (needs ${needed})`}`);
  }
  return skipped;
}

/** A `<testcase>` that holds `<skipped />`; one marked as todo has a message there. */
const SKIPPED = /<testcase ([^>]*[^/])>\s*<skipped \/>/g;

async function read(path: string): Promise<string> {
  return existsSync(path) ? await Bun.file(path).text() : "";
}

function unescapeXml(text: string): string {
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (whole, name) => entities[name] ?? whole);
}
