import { readFileSync } from "node:fs";
import { Interrupted } from "./program.ts";

/** How long work may take to clean up after a signal, before it is left to itself. */
const CLEANUP_LIMIT_MS = 15_000;

const HANGUP_NUMBER = 1;

/**
 * Runs work that SIGINT, SIGTERM and SIGHUP (the terminal or the ssh session is gone) abort: the
 * signal's reason is then an {@link Interrupted}. The work is expected to clean up and throw. If it is
 * stuck (the opening of a pipe that nobody reads), it is given up after 15 seconds; a second signal
 * ends the process at once. Under nohup, SIGHUP stays ignored.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const aborter = new AbortController();
  const stuck = Promise.withResolvers<never>();
  const interrupt = (signal: Interrupted["signal"]) => {
    const reason = new Interrupted(signal);
    aborter.abort(reason);
    setTimeout(() => stuck.reject(reason), CLEANUP_LIMIT_MS).unref();
  };
  const signals: Interrupted["signal"][] = ["SIGINT", "SIGTERM"];
  if (!isHangupIgnored()) signals.push("SIGHUP");
  for (const signal of signals) process.once(signal, interrupt);
  try {
    return await Promise.race([work(aborter.signal), stuck.promise]);
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
  }
}

/** Whoever started us may have said so; a handler of ours would undo it. */
function isHangupIgnored(): boolean {
  try {
    const [, mask = "0"] =
      /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return (BigInt(`0x${mask}`) & (1n << BigInt(HANGUP_NUMBER - 1))) !== 0n;
  } catch {
    // Without /proc it can't be known.
    return false;
  }
}
