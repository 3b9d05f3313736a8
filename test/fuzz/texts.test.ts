import { expect, test } from "bun:test";
import {
  readCreatedName,
  readDownloadStatus,
  readDownloads,
  readPrune,
  readSnapshots,
} from "../../src/api/contract.ts";
import { allowedHost, parseHost } from "../../src/http/access/hosts.ts";
import { listenAddress } from "../../src/http/serve.ts";
import { requestTarget } from "../../src/http/target.ts";
import { parseArgv } from "../../src/lib/command-line/argv.ts";
import {
  text as anyText,
  byteRate,
  goBoolean,
  httpUrl,
  optional,
} from "../../src/lib/command-line/flags.ts";
import { formatDuration, parseDuration } from "../../src/lib/duration.ts";
import { Failure, UsageError } from "../../src/lib/errors.ts";
import { logfmt } from "../../src/lib/log.ts";
import { Prometheus } from "../../src/prometheus.ts";
import { isSnapshotName, snapshotTime } from "../../src/snapshots/name.ts";
import { parseBlockMeta } from "../../src/tsdb/meta.ts";
import { atEnd } from "../support/at-end.ts";
import { randoms } from "../tsdb/support/random.ts";
import { fuzz, seeds, text } from "./fuzz.ts";

/** A parser of a flag's or a parameter's text refuses it by an error with a message. */
const refused = (error: unknown) => error instanceof Error && error.constructor === Error;

fuzz({
  name: "duration",
  seeds: seeds("1h30m", "1.5h", "-2m", "0", "300ms", "2540400h10m10s", "+1us"),
  words: ["ns", "us", "\u00b5s", "ms", "s", "m", "h", ".", "-", "9".repeat(400)],
  run: (input) => {
    const milliseconds = parseDuration(text(input));
    if (!Number.isFinite(milliseconds)) throw new TypeError(`not finite: ${milliseconds}`);
    // To the nanosecond, up to where a number has the digits for it.
    const back = parseDuration(formatDuration(milliseconds));
    if (Math.abs(back - milliseconds) > Math.max(1e-6, Math.abs(milliseconds) * 1e-15))
      throw new TypeError(`${milliseconds} became ${back}`);
  },
  expected: refused,
  cases: 5000,
});

const FLAG = optional(anyText, { description: "" });
fuzz({
  name: "argv",
  seeds: seeds(
    "create\n--format\ntgz\n-output=x\n--\ny",
    "--keep_within=1h\n-help",
    "--web.config-file\nx",
  ),
  words: ["-", "--", "=", "\n", "_", ".", "__proto__", "constructor", "help", "version"],
  run: (input) => {
    parseArgv(text(input).split("\n"), { format: FLAG, output: FLAG, "keep-within": FLAG });
  },
  expected: (error) => error instanceof UsageError,
  cases: 5000,
});

fuzz({
  name: "url",
  seeds: seeds("http://:9090", "https://user:secret@host.example:8443/prefix/", "http://[::1]:80"),
  words: ["@", "/", "//", ":", "?", "#", "%", "\\", "..", "\u0000", "xn--"],
  run: (input) => {
    const url = httpUrl(text(input));
    if (!/^https?:$/.test(url.protocol) || !url.pathname.endsWith("/"))
      throw new TypeError(url.href);
  },
  expected: refused,
  cases: 5000,
});

fuzz({
  name: "request-target",
  seeds: seeds(
    "http://host/api/download?name=a-b&format=tar",
    "/api/snapshots/../../etc",
    "http://a b/%zz?%",
  ),
  words: ["/", "//", "?", "#", "%", "%2f", "\\", "..", "\r\n", "http://", "[", "@"],
  run: (input) => {
    const { origin } = requestTarget({ url: text(input) });
    if (origin !== "http://host.invalid") throw new TypeError(origin);
  },
  expected: () => false,
  cases: 5000,
});

fuzz({
  name: "small-values",
  seeds: seeds(
    "true",
    "127.0.0.1:8080",
    "[::1]:1",
    "Ä.example:1",
    "1.5M",
    "20260101T000000Z-0123abcd",
  ),
  run: (input) => {
    const value = text(input);
    for (const parse of [goBoolean, listenAddress, byteRate, allowedHost]) {
      try {
        parse(value);
      } catch (error) {
        if (!refused(error)) throw error;
      }
    }
    if (isSnapshotName(value) && /[^A-Za-z0-9-]/.test(value)) throw new TypeError(value);
    snapshotTime(value);
    const name = parseHost(value)?.name ?? "";
    if (/[^\x21-\x7e]|[A-Z/@?#\\]/.test(name)) throw new TypeError(name);
    if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(logfmt({ value })))
      throw new TypeError(`logfmt let ${JSON.stringify(value)} through`);
  },
  expected: refused,
  cases: 5000,
});

const ANSWERS = seeds(
  '{"name":"20260101T000000Z-0123abcd"}',
  '{"id":"x","snapshot_name":"a-b","finished":{"success":true,"error_text":null,"sha256_hex":"ab"}}',
  '{"downloads":[{"id":"x","snapshot_name":"a-b","finished":null}]}',
  '{"snapshots":[{"name":"a-b","time":null,"blocks":1,"bytes":2,"min_time":null,"max_time":null,"in_use":true,"confirmed":false}]}',
  '{"removed":["a-b"],"kept":[{"name":"a-c","reason":"in use"}]}',
);
const JSON_WORDS = ["null", "[]", "{}", '"__proto__":', "1e999", "-0", '"', "[[[[", "true", ","];
fuzz({
  name: "answers",
  seeds: ANSWERS,
  words: JSON_WORDS,
  run: (input) => {
    const json = JSON.parse(text(input));
    for (const read of [
      readCreatedName,
      readDownloadStatus,
      readDownloads,
      readSnapshots,
      readPrune,
    ]) {
      try {
        read(json);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
      }
    }
  },
  expected: (error) => error instanceof SyntaxError,
  cases: 5000,
});

fuzz({
  name: "meta-json",
  seeds: [await Bun.file("test/data/tiny-block/meta.json").bytes()],
  words: JSON_WORDS,
  run: (input) => parseBlockMeta(text(input)),
  expected: refused,
  cases: 3000,
});

let answer: Uint8Array<ArrayBuffer> = new Uint8Array();
const fake = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: () => new Response(answer, { status: 200 + (answer.length % 400) }),
});
atEnd(() => fake.stop(true));
const prometheus = new Prometheus(new URL(fake.url));

fuzz({
  name: "prometheus",
  seeds: seeds(
    '{"status":"success","data":{"name":"20260101T000000Z-0123abcd"}}',
    '{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}',
    "<html><title>502 Bad Gateway</title></html>",
  ),
  words: JSON_WORDS,
  run: async (input) => {
    answer = new Uint8Array(input);
    const name = await prometheus.createSnapshot(false, AbortSignal.timeout(5000));
    if (!isSnapshotName(name)) throw new TypeError(name);
  },
  expected: (error) => error instanceof Failure,
  cases: 500,
});

test("the same seed gives the same inputs", () => {
  expect(randoms("a").bytes(50)).toEqual(randoms("a").bytes(50));
});
