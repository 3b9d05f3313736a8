import { version } from "../../../package.json";

// Put in place by `bun run build` (--define). From source neither exists, which only typeof may ask.
declare const PROMBACKUP_COMMIT: string | undefined;
declare const PROMBACKUP_BUILT: string | undefined;

/** The version of package.json, as in `0.1.0`. */
export const VERSION: string = version;

/** The commit a compiled program was built from, with `-dirty` if files differed; undefined from source. */
export const COMMIT: string | undefined =
  typeof PROMBACKUP_COMMIT === "string" ? PROMBACKUP_COMMIT : undefined;

/** When a compiled program was built, as in `2026-11-24T00:00:00Z`; undefined from source. */
export const BUILT: string | undefined =
  typeof PROMBACKUP_BUILT === "string" ? PROMBACKUP_BUILT : undefined;

/** What `--version` prints: `NAME 0.1.0 (commit abc1234, built TIME, bun 1.4.5, linux/x64)`. */
export function versionText(program: string): string {
  const origin = COMMIT && BUILT ? `commit ${COMMIT}, built ${BUILT}` : "from source";
  return `${program} ${VERSION} (${origin}, bun ${Bun.version}, ${process.platform}/${process.arch})`;
}
