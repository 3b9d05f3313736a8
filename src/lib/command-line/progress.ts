import { formatBytes, formatSeconds } from "../units.ts";

/** A line that tells how far something is. */
export interface Progress {
  add(bytes: number): void;
  /** Takes the line away. */
  end(): void;
}

const REDRAW_MS = 200;

/**
 * A progress line on standard error, if that is a terminal; in a pipe or under cron, nothing.
 *
 * @param total Bytes that there will be, if known; then percent and time left are told too.
 */
export function startProgress(total: number | undefined): Progress {
  if (!process.stderr.isTTY) return { add: () => {}, end: () => {} };
  const startedAt = performance.now();
  let bytes = 0;
  let drawnAt = startedAt;
  return {
    add: (more) => {
      bytes += more;
      const now = performance.now();
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      process.stderr.write(`\r\u001b[K${progressLine(bytes, (now - startedAt) / 1000, total)}`);
    },
    end: () => {
      if (drawnAt !== startedAt) process.stderr.write("\r\u001b[K");
    },
  };
}

/** @param seconds Since the start. */
export function progressLine(bytes: number, seconds: number, total: number | undefined): string {
  const rate = bytes / Math.max(seconds, 0.001);
  const soFar = `${formatBytes(bytes)}  ${formatBytes(rate)}/s`;
  if (total === undefined || total === 0) return soFar;
  const percent = Math.min(100, Math.floor((100 * bytes) / total));
  return `${soFar}  ${percent}%  ${formatSeconds(Math.max(0, total - bytes) / Math.max(rate, 1))} left`;
}
