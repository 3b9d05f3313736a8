import { readFileSync } from "node:fs";

const LOWEST = 10_000;

/**
 * A TCP port of loopback that nobody listens on, and that the system gives nobody who asks for any:
 * one of those would soon be another's, where many programs start. Somebody who asks for this one may
 * still take it meanwhile.
 */
export function freePort(): number {
  const range = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const end = Number(range.split(/\s/)[0]);
  const begin = Math.min(LOWEST, Math.floor(end / 2));
  for (let attempt = 1; ; attempt++) {
    const port = begin + Math.floor(Math.random() * (end - begin));
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch (error) {
      if (attempt === 100) throw error;
    }
  }
}
