import { Interrupted } from "./program.ts";

/**
 * Runs work that SIGINT and SIGTERM abort: the signal's reason is then an {@link Interrupted}. The
 * work is expected to clean up and throw.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const aborter = new AbortController();
  const onInt = () => aborter.abort(new Interrupted("SIGINT"));
  const onTerm = () => aborter.abort(new Interrupted("SIGTERM"));
  process.on("SIGINT", onInt);
  process.on("SIGTERM", onTerm);
  try {
    return await work(aborter.signal);
  } finally {
    process.off("SIGINT", onInt);
    process.off("SIGTERM", onTerm);
  }
}
