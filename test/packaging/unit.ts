import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";

export const PACKAGING = join(import.meta.dir, "../../packaging/systemd");

/** The settings of a unit file: for each key its values in order. Sections don't share keys here. */
export function readUnit(name: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  for (const [key, value] of assignments(readFileSync(join(PACKAGING, name), "utf8"))) {
    settings.set(key, [...(settings.get(key) ?? []), value]);
  }
  return settings;
}

/** The variables that prombackup-server.default sets. */
export function readDefaults(): Record<string, string> {
  return Object.fromEntries(assignments(readFileSync(defaultsFile(), "utf8")));
}

/** The variables that prombackup-server.default speaks of, also where it only shows how to set them. */
export function namesInDefaults(): string[] {
  return [...readFileSync(defaultsFile(), "utf8").matchAll(/^#?(PROMBACKUP_\w+)=/gm)].map(
    ([, name = ""]) => name,
  );
}

function defaultsFile(): string {
  return join(PACKAGING, "prombackup-server.default");
}

function assignments(text: string): [string, string][] {
  return [...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]);
}

/** The system calls that a unit's SystemCallFilter= lines leave: groups expanded, `~` taken off. */
export async function allowedCalls(
  unit: ReadonlyMap<string, readonly string[]>,
): Promise<string[]> {
  const groups = readGroups(await run(["systemd-analyze", "--no-pager", "syscall-filter"]));
  // systemd adds @default to every list of what is allowed.
  const allowed = new Set(expand("@default", groups));
  for (const line of unit.get("SystemCallFilter") ?? []) {
    const names = line.replace(/^~/, "").split(" ");
    for (const call of names.flatMap((name) => expand(name, groups))) {
      if (line.startsWith("~")) allowed.delete(call);
      else allowed.add(call);
    }
  }
  return [...allowed].sort();
}

/** `systemd-analyze syscall-filter` prints each group, then what it holds, indented. */
function readGroups(text: string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  let members: string[] = [];
  for (const line of Bun.stripANSI(text).split("\n")) {
    if (/^ +[@\w-]+$/.test(line)) members.push(line.trim());
    if (!/^@\S+$/.test(line)) continue;
    members = [];
    groups.set(line, members);
  }
  return groups;
}

function expand(name: string, groups: ReadonlyMap<string, readonly string[]>): string[] {
  if (!name.startsWith("@")) return [name];
  const members = groups.get(name);
  if (members === undefined) throw new Error(`no group ${name} in this systemd`);
  return members.flatMap((member) => expand(member, groups));
}
