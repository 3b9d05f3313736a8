import { Interrupted } from "./program.ts";

/** How long work may take to clean up after a signal, before it is left to itself. */
const CLEANUP_LIMIT_MS = 15_000;

/**
 * Runs work that SIGINT and SIGTERM abort: the signal's reason is then an {@link Interrupted}. The
 * work is expected to clean up and throw. If it is stuck (the opening of a pipe that nobody reads),
 * it is given up after 15 seconds; a second signal ends the process at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const aborter = new AbortController();
  const stuck = Promise.withResolvers<never>();
  const interrupt = (signal: "SIGINT" | "SIGTERM") => {
    const reason = new Interrupted(signal);
    aborter.abort(reason);
    setTimeout(() => stuck.reject(reason), CLEANUP_LIMIT_MS).unref();
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    return await Promise.race([work(aborter.signal), stuck.promise]);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
