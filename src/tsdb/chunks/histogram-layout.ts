import type { BitReader } from "./bit-reader.ts";

/** The schema of histograms whose bucket bounds are listed. */
const CUSTOM_BOUNDS = -53;
/** Exponential schemas that Prometheus reads; it writes -4 to 8. */
const LEAST_SCHEMA = -9;
const GREATEST_SCHEMA = 52;

/**
 * Reads the layout that all samples of a histogram chunk share (prometheus
 * `tsdb/chunkenc/histogram_meta.go`):
 *
 *     zero threshold · schema varbit · positive spans · negative spans · [bounds, for schema -53]
 *
 * where the threshold is one byte, and 8 more if it is 255; spans are a count and pairs of length and
 * offset, varbit integers; bounds are a count and varbit integers, 0 with 64 more bits behind it.
 *
 * @returns the number of buckets, or what is wrong.
 */
export function readBucketCount(reader: BitReader): number | string {
  if (reader.bits(8) === 255) reader.skip(64);
  const schema = reader.varbitInt();
  if (schema !== CUSTOM_BOUNDS && (schema < LEAST_SCHEMA || schema > GREATEST_SCHEMA)) {
    return `its histogram schema ${schema} is unknown`;
  }
  const buckets = readSpans(reader) + readSpans(reader);
  if (schema === CUSTOM_BOUNDS) skipBounds(reader);
  return buckets;
}

/** Reads a list of spans; gives the sum of their lengths. */
function readSpans(reader: BitReader): number {
  let buckets = 0;
  const count = reader.varbitUint();
  for (let span = 0; span < count && !reader.failed; span++) {
    buckets += reader.varbitUint();
    reader.skipVarbits(1);
  }
  return buckets;
}

function skipBounds(reader: BitReader): void {
  const count = reader.varbitUint();
  for (let bound = 0; bound < count && !reader.failed; bound++) {
    if (reader.varbitUint() === 0) reader.skip(64);
  }
}
