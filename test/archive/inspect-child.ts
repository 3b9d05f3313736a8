import { decompress } from "../../src/archive/decompress.ts";
import { inspectArchive } from "../../src/archive/inspect.ts";
import { readTar } from "../../src/archive/tar-reader.ts";

/** Inspects the archive on standard input, and tells what came of it and the most memory it took. */
const result = await (async () => {
  try {
    const { bytes } = await decompress(Bun.stdin.stream());
    return { report: await inspectArchive(readTar(bytes)) };
  } catch (error) {
    return { error: String(error) };
  }
})();
// Kilobytes, as getrusage(2) has it on Linux.
const megabytes = Math.round(process.resourceUsage().maxRSS / 1024);
await Bun.write(Bun.stdout, JSON.stringify({ ...result, megabytes }));
