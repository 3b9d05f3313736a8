import { atEnd } from "../support/at-end.ts";
import { needs } from "../support/tools.ts";

/** Node's and Bun's sockets read ahead on their own; a peer that reads as it is told is Python's. */
export const peerNeeds = needs("python3");

const PROGRAM = `
import socket, sys, time
host, port, request, rate, most = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
s = socket.create_connection((host, port))
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
 */
export function startPeer(
  url: string,
  request: string,
  { rate = 0, most = Number.MAX_SAFE_INTEGER }: { rate?: number; most?: number } = {},
): Peer {
  const { hostname, port } = new URL(url);
  const args = [hostname, port, request, String(rate), String(most)];
  const child = Bun.spawn(["python3", "-c", PROGRAM, ...args], {
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
