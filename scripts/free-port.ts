/** Below those that the system gives to whoever asks for any port, and above those of known services. */
const [LOWEST, COUNT] = [20_000, 12_000];

/**
 * A TCP port of loopback that nobody listens on, and that no program gets which asks for any port:
 * many do so by the time that somebody listens on this one. Who asks for the same may still take it.
 */
export function freePort(): number {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (isFree(port)) return port;
  }
}

function isFree(port: number): boolean {
  try {
    const options = { hostname: "127.0.0.1", port, exclusive: true, socket: { data() {} } };
    Bun.listen(options).stop(true);
    return true;
  } catch {
    return false;
  }
}
