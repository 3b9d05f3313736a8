import { atEnd } from "../support/at-end.ts";
import { needs } from "../support/tools.ts";

/** Node's and Bun's sockets read ahead on their own; a peer that reads as it is told is Python's. */
export const peerNeeds = needs("python3");

const PROGRAM = `
import socket, sys, time
host, request = sys.argv[1], sys.argv[3]
port, rate, most, buffer = (int(sys.argv[i]) for i in (2, 4, 5, 6))
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
if buffer: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
s.connect((host, port))
s.sendall(request.encode())
got = 0
head = b""
how = "end"
try:
    while got < most:
        if rate: time.sleep(0.05)
        piece = s.recv(rate // 20 if rate else 65536)
        if not piece: break
        if len(head) < 4096: head += piece
        got += len(piece)
    else:
        how = "stalled"
        print(how, got, flush=True)
        sys.stdin.readline()
        while True:
            piece = s.recv(65536)
            if not piece: break
            got += len(piece)
        how = "end"
except ConnectionResetError:
    how = "reset"
print(how, got, flush=True)
`;

export interface Peer {
  /** The next line that it says: how it ended (`end`, `reset`, `stalled`), and the bytes it got. */
  line(): Promise<string>;
  /** Lets one that stalled read on. */
  resume(): void;
}

/**
 * Asks for something over a bare connection and reads it at its own pace.
 *
 * @param rate bytes a second; 0: as fast as they come
 * @param most reads so many bytes, then nothing more until it is told to
 * @param buffer how much the system may take for it, in bytes; 0: as it likes
 * @param under a command that runs it
 */
export function startPeer(
  url: string,
  request: string,
  {
    rate = 0,
    most = Number.MAX_SAFE_INTEGER,
    buffer = 0,
    under = [],
  }: { rate?: number; most?: number; buffer?: number; under?: readonly string[] } = {},
): Peer {
  const { hostname, port } = new URL(url);
  const args = [hostname, port, request, String(rate), String(most), String(buffer)];
  const child = Bun.spawn([...under, "python3", "-c", PROGRAM, ...args], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  atEnd(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const lines = readLines(child.stdout);
  return {
    line: async () => (await lines.next()).value ?? "",
    resume: () => {
      child.stdin.write("\n");
      child.stdin.flush();
    },
  };
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}
