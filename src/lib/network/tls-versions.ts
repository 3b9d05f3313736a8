import type { Section } from "../config/section.ts";

/** As they stand on the wire, which is how Bun takes them. */
const VERSIONS = { TLS10: 0x0301, TLS11: 0x0302, TLS12: 0x0303, TLS13: 0x0304 } as const;
const NAMES = ["TLS10", "TLS11", "TLS12", "TLS13"] as const;

/** The versions of TLS that are spoken. */
export interface TlsVersions {
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** Reads `min_version` and `max_version`; without them, TLS 1.2 to 1.3, as in Prometheus. */
export function readTlsVersions(section: Section): TlsVersions {
  const minVersion = VERSIONS[section.word("min_version", NAMES) ?? "TLS12"];
  const maxVersion = VERSIONS[section.word("max_version", NAMES) ?? "TLS13"];
  if (maxVersion < minVersion) throw section.refuse("max_version", "is below min_version");
  return { minVersion, maxVersion };
}
