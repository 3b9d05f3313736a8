/** One that owns nothing and may nothing: nobody. */
export const ANOTHER_USER = 65534;

const isRoot = process.geteuid?.() === 0;

/**
 * Code that makes the process that runs it another user's, if it is root's. Modules are there by then:
 * the user may have no way to where the project lies.
 */
export const BECOME_ANOTHER = isRoot
  ? `process.setgroups([]); process.setgid(${ANOTHER_USER}); process.setuid(${ANOTHER_USER});`
  : "";

/** What runs a command as another user. */
export const AS_ANOTHER: readonly string[] = [
  "setpriv",
  `--reuid=${ANOTHER_USER}`,
  `--regid=${ANOTHER_USER}`,
  "--clear-groups",
];
