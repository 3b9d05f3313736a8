import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isIPv6 } from "node:net";
import { errorCode } from "../errors.ts";
import { libC } from "../libc.ts";

/*
 * What Bun doesn't tell of the connections of this process, from the tables of the kernel (Linux,
 * Documentation/networking/proc_net_tcp.rst). Where there is no /proc, nothing is known.
 */

/** One end of a TCP connection. */
export interface TcpEnd {
  readonly address: string;
  readonly port: number;
}

/** State of a connection that neither end has closed. */
const ESTABLISHED = "01";

/**
 * Bytes of an open connection that were handed to the kernel, and that the other side hasn't
 * acknowledged yet. A few milliseconds with some thousand connections.
 *
 * @param localPort this process's end
 * @returns undefined if there is no such connection
 */
export function unsentBytes(localPort: number, peer: TcpEnd): number | undefined {
  return findConnection(localPort, peer)?.unsent;
}

/**
 * Resets a connection: the other side sees that it was cut, whatever the protocol on it takes a clean
 * end for, and what waits to be sent is thrown away. Its owner sees it as closed by the other side.
 *
 * @returns false if there is no such connection, or no way to reset it
 */
export function resetConnection(localPort: number, peer: TcpEnd): boolean {
  const inode = findConnection(localPort, peer)?.inode;
  const fd = inode === undefined ? undefined : findDescriptor(`socket:[${inode}]`);
  return fd !== undefined && disconnect(fd);
}

/** Resets all connections of this process's port; see {@link resetConnection}. */
export function resetConnections(localPort: number): void {
  for (const { port, inode } of connections()) {
    const fd = port === localPort ? findDescriptor(`socket:[${inode}]`) : undefined;
    if (fd !== undefined) disconnect(fd);
  }
}

interface Connection {
  /** Of the end that the table's line is about: of this host, but maybe of another process. */
  readonly port: number;
  /** The other end, as the kernel writes it. */
  readonly remote: string;
  readonly unsent: number;
  readonly inode: string;
}

function findConnection(localPort: number, peer: TcpEnd): Connection | undefined {
  const wanted = canonicalAddress(peer.address);
  for (const connection of connections()) {
    const { port, remote } = connection;
    if (port !== localPort || portOf(remote) !== peer.port) continue;
    if (addressOf(remote) === wanted) return connection;
  }
  return undefined;
}

function* connections(): Generator<Connection> {
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readTable(table).split("\n").slice(1)) {
      const [, local = "", remote = "", state, queues = "", , , , , inode = ""] = line
        .trim()
        .split(/\s+/);
      if (state !== ESTABLISHED) continue;
      const unsent = Number.parseInt(queues.split(":")[0] ?? "", 16);
      yield { port: portOf(local), remote, unsent, inode };
    }
  }
}

function readTable(name: string): string {
  return hidden("", () => readFileSync(`/proc/self/net/${name}`, "latin1"));
}

function findDescriptor(target: string): number | undefined {
  const names = hidden([], () => readdirSync("/proc/self/fd"));
  const name = names.find((fd) => hidden("", () => readlinkSync(`/proc/self/fd/${fd}`)) === target);
  return name === undefined ? undefined : Number(name);
}

/** What isn't there, or is hidden by a sandbox, counts as empty. */
function hidden<T>(empty: T, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) return empty;
    throw error;
  }
}

/** `0100007F:1F90`: the address in words of the machine's own byte order, the port as a number. */
function portOf(end: string): number {
  return Number.parseInt(end.split(":")[1] ?? "", 16);
}

function addressOf(end: string): string {
  const [hex = ""] = end.split(":");
  const words = hex.match(/.{8}/g) ?? [];
  // Every architecture that Bun runs on is little-endian.
  const bytes = words.flatMap((word) => [...Buffer.from(word, "hex").reverse()]);
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return canonicalAddress(groups.join(":"));
}

/** One spelling for each address; an IPv4 address in IPv6's clothes is an IPv4 address. */
function canonicalAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const [plain = ""] = address.split("%");
  const canonical = new URL(`http://[${plain}]/`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return canonical;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join(".");
}

/** connect(2) to an address of the family AF_UNSPEC, which is 0, dissolves a connection by a reset. */
function disconnect(fd: number): boolean {
  const address = new Uint8Array(16);
  return libC("resetting a connection").connect(fd, address, address.length) === 0;
}
