import type { BitReader } from "./bit-reader.ts";
import { type ChunkDecoder, type ChunkTimes, NOT_RISING } from "./decoder.ts";
import { readBucketCount } from "./histogram-layout.ts";
import { StartTimes } from "./start-times.ts";
import { type ValueFault, XorValue, XorWindow } from "./xor-window.ts";

/**
 * Encodings 2, 3, 5 and 6: native histograms (prometheus `tsdb/chunkenc/histogram.go` and
 * `float_histogram.go`). Behind a byte of flags (2 and 3: the counter reset in the upper two bits;
 * 5 and 6, since 3.14: the header of the start times) come the layout, and per sample:
 *
 *     t · count · zero count · sum · one item a bucket, unless the sum is the stale marker
 *
 * Times are varbit integers: sample 0 has t, later ones the change of the delta, which starts at 0.
 * Sums are 64 bits, then xor-ed. Counts and buckets are varbit integers (changes of changes) in an
 * integer histogram; in a float one 64 bits, then xor-ed, each in a window of its own.
 */
export const decodeHistogram = histogramDecoder((layout) => new IntegerFields(layout), false);
export const decodeFloatHistogram = histogramDecoder((layout) => new FloatFields(layout), false);
export const decodeHistogramStart = histogramDecoder((layout) => new IntegerFields(layout), true);
export const decodeFloatHistogramStart = histogramDecoder(
  (layout) => new FloatFields(layout),
  true,
);

/** The counts and buckets of a chunk's samples: what differs between the kinds of histogram. */
interface Fields {
  /** Steps over the count and the zero count of a sample. */
  counts(reader: BitReader, first: boolean): ValueFault;
  /** Steps over all buckets of a sample. */
  buckets(reader: BitReader, first: boolean): ValueFault;
}

function histogramDecoder(
  fieldsOf: (buckets: number) => Fields,
  withStarts: boolean,
): ChunkDecoder {
  return (reader, _view, count, times) => {
    const starts = withStarts ? new StartTimes(reader) : undefined;
    if (starts === undefined) reader.skip(8);
    const buckets = readBucketCount(reader);
    if (typeof buckets === "string") return buckets;
    return decodeSamples(reader, count, times, fieldsOf(buckets), starts);
  };
}

function decodeSamples(
  reader: BitReader,
  count: number,
  times: ChunkTimes,
  fields: Fields,
  starts: StartTimes | undefined,
): string | undefined {
  const sum = new XorValue();
  let delta = 0;
  for (let sample = 0; sample < count; sample++) {
    const first = sample === 0;
    const time = reader.varbitInt();
    if (first) times.first = times.last = time;
    else times.last += delta += time;
    const fault = fields.counts(reader, first) ?? sum.read(reader, first);
    if (fault !== undefined) return reader.failed ? undefined : fault;
    // A stale first sample has its buckets, too: its layout has none.
    const bucketFault = first || !sum.isStale ? fields.buckets(reader, first) : undefined;
    starts?.skip(reader, sample);
    if (reader.failed) return undefined;
    if (bucketFault !== undefined) return bucketFault;
    if (!first && (delta <= 0 || times.last > Number.MAX_SAFE_INTEGER)) return NOT_RISING;
  }
  return undefined;
}

class IntegerFields implements Fields {
  readonly #buckets: number;

  constructor(buckets: number) {
    this.#buckets = buckets;
  }

  counts(reader: BitReader): ValueFault {
    reader.skipVarbits(2);
    return undefined;
  }

  buckets(reader: BitReader): ValueFault {
    reader.skipVarbits(this.#buckets);
    return undefined;
  }
}

class FloatFields implements Fields {
  readonly #buckets: number;
  readonly #count = new XorWindow();
  readonly #zeroCount = new XorWindow();
  #windows: XorWindow[] = [];

  constructor(buckets: number) {
    this.#buckets = buckets;
  }

  counts(reader: BitReader, first: boolean): ValueFault {
    if (!first) return this.#count.skipValue(reader) ?? this.#zeroCount.skipValue(reader);
    reader.skip(2 * 64);
    return undefined;
  }

  buckets(reader: BitReader, first: boolean): ValueFault {
    if (first) {
      reader.skip(this.#buckets * 64);
      // Only now it is sure that the chunk is as large as its number of buckets says.
      if (!reader.failed)
        this.#windows = Array.from({ length: this.#buckets }, () => new XorWindow());
      return undefined;
    }
    for (const window of this.#windows) {
      const fault = window.skipValue(reader);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
}
