import { ByteReader, viewOf } from "./bytes.ts";
import type { Findings } from "./findings.ts";
import type { NumberList } from "./number-list.ts";
import { checksum, STOP, scan } from "./scan.ts";
import type { Spool } from "./spool.ts";

const FILE = "tombstones";
const MAGIC = 0x0130ba30;
const HEADER_SIZE = 5;
const CRC_SIZE = 4;

/**
 * Checks the tombstones, the deleted ranges of a block (prometheus `tsdb/tombstones/tombstones.go`):
 *
 *     01 30 BA 30 · version 1 · stones · CRC-32C of the stones alone
 *
 * A stone is the id of a series as uvarint · first and last deleted time, varints, in no order. Without
 * any, the file is 9 bytes long.
 *
 * @param ids of all series, ascending; undefined if they aren't known.
 * @returns how many stones there are, or undefined if Prometheus would not open the block.
 */
export async function checkTombstones(
  spool: Spool,
  ids: NumberList | undefined,
  findings: Findings,
): Promise<number | undefined> {
  const fault = await openStones(spool);
  if (fault !== undefined) {
    findings.add("tombstones-damaged", FILE, undefined, `the tombstones are damaged: ${fault}`);
    return undefined;
  }
  const walk = new StonesWalk(ids, findings);
  const end = spool.size - CRC_SIZE;
  await scan(spool, HEADER_SIZE, end, (bytes, position, last) => walk.step(bytes, position, last));
  return walk.sound ? walk.count : undefined;
}

/** Checks all but the stones. Answers what is wrong. */
async function openStones(spool: Spool): Promise<string | undefined> {
  if (spool.size < HEADER_SIZE + CRC_SIZE) {
    return `${spool.size} bytes are less than the ${HEADER_SIZE + CRC_SIZE} of a file without any`;
  }
  const header = spool.read(0, HEADER_SIZE);
  if (viewOf(header).getInt32(0) !== MAGIC)
    return "the file does not begin with their magic number";
  if (header[4] !== 1) return `their version is ${header[4]}, not 1`;
  const end = spool.size - CRC_SIZE;
  const crc = await checksum(spool, HEADER_SIZE, end);
  return crc === viewOf(spool.read(end, spool.size)).getInt32(0)
    ? undefined
    : "their checksum is wrong";
}

class StonesWalk {
  count = 0;
  sound = true;
  readonly #ids: NumberList | undefined;
  readonly #findings: Findings;
  readonly #reader = new ByteReader();

  constructor(ids: NumberList | undefined, findings: Findings) {
    this.#ids = ids;
    this.#findings = findings;
  }

  /** Takes the whole stones from `bytes`: a step of {@link scan}. */
  step(bytes: Uint8Array, position: number, last: boolean): number {
    const reader = this.#reader;
    reader.reset(bytes, 0, bytes.length);
    for (let at = 0; at < bytes.length; at = reader.at) {
      const id = reader.uvarint();
      const first = reader.varint();
      const end = reader.varint();
      if (reader.failed && !last) return at;
      if (reader.failed) return this.#fail(position + at);
      this.count++;
      if (this.#ids !== undefined && this.#ids.indexOfSorted(id) < 0) {
        this.#warn(position + at, `a tombstone is of series ${id}, which the index does not have`);
      }
      if (first > end) this.#warn(position + at, "a tombstone ends before it begins");
    }
    return bytes.length;
  }

  #fail(position: number): number {
    this.sound = false;
    this.#findings.add("tombstones-damaged", FILE, position, "a tombstone can't be read");
    return STOP;
  }

  #warn(position: number, text: string): void {
    this.#findings.add("tombstones-content", FILE, position, text);
  }
}
