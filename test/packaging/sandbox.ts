import { join } from "node:path";
import { allowedCalls, readUnit } from "./unit.ts";

/** The numbers of Linux, for the families that a unit may name. */
const FAMILIES: Record<string, number> = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10 };

/**
 * The start of a command line that runs the rest of it under a unit's SystemCallFilter=,
 * RestrictAddressFamilies=, RestrictNamespaces= and NoNewPrivileges=, as the user `uid` if it is
 * given. Not applied, since they take a systemd: the mount namespace (ProtectSystem=, ProcSubset=,
 * Private...=) and what the kernel refuses to a user without capabilities anyway.
 */
export async function sandbox(service: string, uid: number | undefined): Promise<string[]> {
  const unit = readUnit(service);
  for (const expected of ["NoNewPrivileges", "RestrictNamespaces"]) {
    if (unit.get(expected)?.join() !== "true") throw new Error(`${service}: no ${expected}=true`);
  }
  const families = unit.get("RestrictAddressFamilies")?.join(" ").split(" ") ?? [];
  const settings = {
    uid: uid ?? null,
    calls: await allowedCalls(unit),
    families: families.map((family) => FAMILIES[family]),
  };
  const python = Bun.which("python3") ?? "python3";
  return [python, join(import.meta.dir, "sandbox.py"), JSON.stringify(settings)];
}
